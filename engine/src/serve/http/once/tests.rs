use super::*;

fn kept(entries: usize, bytes: usize) -> Kept {
    Kept::new(&HttpLimits {
        kept_answers: entries,
        kept_bytes: bytes,
        kept_answer_bytes: 1000,
        ..HttpLimits::default()
    })
}

fn key(owner: &str, key: usize) -> Key {
    Key { owner: Owner::of(owner, "1"), key: key.to_string() }
}

fn answer(size: usize) -> Answer {
    // With its quotes.
    Answer::of(&"x".repeat(size - 2)).unwrap()
}

#[track_caller]
fn begin(kept: &Kept, key: Key) -> Claim {
    match kept.claim(key, [0; 32]) {
        Ok(Found::New(claim)) => claim,
        Ok(Found::Known(_)) => panic!("it is known"),
        Err(problem) => panic!("{problem:?}"),
    }
}

fn knows(kept: &Kept, wanted: &Key) -> bool {
    lock(&kept.state).all.contains_key(wanted)
}

#[test]
fn an_answer_is_kept_and_a_key_means_one_request() {
    let kept = kept(100, 1 << 20);
    let claim = begin(&kept, key("a", 1));
    assert!(kept.claim(key("a", 1), [0; 32]).is_err(), "it is pending");
    assert!(kept.keep(claim, &answer(100)));
    let Ok(Found::Known(Some(known))) = kept.claim(key("a", 1), [0; 32]) else { panic!() };
    assert_eq!(known.size(), 100);
    assert!(kept.claim(key("a", 1), [1; 32]).is_err(), "it is another request");
    // The same key of another tenant, and of one that was created anew.
    drop(begin(&kept, key("b", 1)));
    let again = Key { owner: Owner::of("a", "2"), key: "1".to_owned() };
    drop(begin(&kept, again));
    // What was not done may be done.
    drop(begin(&kept, key("b", 1)));
    assert_eq!(lock(&kept.state).all.len(), 1);
}

#[test]
fn what_is_too_large_is_not_kept_and_says_so() {
    let kept = kept(100, 1 << 20);
    let claim = begin(&kept, key("a", 1));
    assert!(!kept.keep(claim, &answer(1001)));
    assert!(matches!(kept.claim(key("a", 1), [0; 32]), Ok(Found::Known(None))));
}

#[test]
fn the_oldest_give_way_and_what_is_pending_stays() {
    let kept = kept(8, 1 << 20);
    // A quarter of eight is each tenant's.
    let pending = begin(&kept, key("a", 0));
    for number in 1..5 {
        assert!(kept.keep(begin(&kept, key("a", number)), &answer(10)));
    }
    assert!(knows(&kept, &key("a", 0)) && knows(&kept, &key("a", 4)));
    assert!(!knows(&kept, &key("a", 3)));
    let more = begin(&kept, key("a", 5));
    assert!(kept.claim(key("a", 6), [0; 32]).is_err(), "all of its share is pending");
    // Others have theirs.
    drop(begin(&kept, key("b", 0)));
    drop((pending, more));
    let entries = lock(&kept.state);
    assert_eq!((entries.all.len(), entries.bytes), (0, 0));
}

#[test]
fn bytes_are_bounded_and_counted_right() {
    let most = 16 * (OVERHEAD + 1000);
    let kept = kept(1000, most);
    for owner in ["a", "b", "c", "d", "e", "f"] {
        for number in 0..50 {
            kept.keep(begin(&kept, key(owner, number)), &answer(900));
            let entries = lock(&kept.state);
            let sum: usize = entries.all.values().map(|entry| entry.bytes).sum();
            assert_eq!(entries.bytes, sum);
            assert!(sum <= most, "{sum}");
        }
    }
    assert!(knows(&kept, &key("f", 49)));
}

#[test]
fn answers_expire() {
    let kept = Kept::new(&HttpLimits { kept_for: Duration::ZERO, ..HttpLimits::default() });
    let claim = begin(&kept, key("a", 1));
    let other = begin(&kept, key("a", 2));
    assert!(kept.keep(claim, &answer(10)));
    drop(begin(&kept, key("a", 1)));
    assert!(kept.claim(key("a", 2), [0; 32]).is_err(), "what is pending does not expire");
    drop(other);
    assert_eq!(lock(&kept.state).bytes, 0);
}

#[test]
fn a_key_is_short_and_visible() {
    let with = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, HeaderValue::from_str(value).unwrap());
        }
        super::key(&headers)
    };
    assert_eq!(with(&[]).unwrap(), None);
    assert_eq!(with(&["a-1"]).unwrap().as_deref(), Some("a-1"));
    let long = "x".repeat(MAX_KEY + 1);
    for wrong in [&[""][..], &["a b"], &["a", "b"], &[&long]] {
        assert!(with(wrong).is_err(), "{wrong:?}");
    }
}
