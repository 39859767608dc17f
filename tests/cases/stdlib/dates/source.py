import calendar, datetime, time, zoneinfo

def run():
    new_york = zoneinfo.ZoneInfo("America/New_York")
    before = datetime.datetime(2026, 3, 8, 6, 59, tzinfo=datetime.timezone.utc).astimezone(new_york)
    after = before + datetime.timedelta(minutes=1)
    return {
        "iso": datetime.datetime.fromisoformat("2026-02-03T04:05:06+01:00").isoformat(),
        "strptime": datetime.datetime.strptime("3 Feb 2026", "%d %b %Y").date().isoformat(),
        "zones": [before.isoformat(), datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().seconds],
        "many_zones": len(zoneinfo.available_timezones()) > 500,
        "leap": calendar.isleap(2028),
        "month": calendar.monthrange(2026, 2),
        "gmtime": time.strftime("%Y-%m-%d", time.gmtime(86400)),
        "minute": after.minute,
    }
