use proptest::prelude::*;

use super::*;
use crate::json::Json;

const CANARY: &str = "c4n\"ary/+ é=x y\\z";

fn scrubber(secret: &str) -> Scrubber {
    let mut scrubber = Scrubber::default();
    scrubber.add(&SecretName::new("KEY").unwrap(), &Secret::new(secret).unwrap());
    scrubber
}

fn encode(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn percent(text: &str, keep: &str) -> String {
    let encode = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Every form, each within other text, with what must be left of it.
#[test]
fn every_form_is_found() {
    let scrubber = scrubber(CANARY);
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    for form in [
        CANARY.to_owned(),
        percent(CANARY, ""),
        percent(CANARY, "/").to_lowercase(),
        percent(CANARY, " ").replace(' ', "+"),
        hex.clone(),
        hex.to_uppercase(),
        {
            let escaped = serde_json::Value::from(CANARY).to_string();
            escaped[1..escaped.len() - 1].to_owned()
        },
    ] {
        let text = format!("before {form} after {form}");
        assert_eq!(scrubber.text(&text), "before [secret KEY] after [secret KEY]", "{form}");
    }
    for before in ["", "u", "us", "user:"] {
        let encoded = encode(&format!("{before}{CANARY}tail"));
        for form in
            [encoded.clone(), encoded.replace('+', "-").replace('/', "_"), percent(&encoded, "")]
        {
            let clean = scrubber.text(&form);
            assert!(clean.contains("[secret KEY]"), "{before:?}: {form} -> {clean}");
            assert!(clean.len() < form.len(), "{form} -> {clean}");
        }
    }
    for harmless in ["", "c4n", "%", "%c", "canary", &CANARY[..CANARY.len() - 1]] {
        assert_eq!(scrubber.text(harmless), harmless);
    }
}

#[test]
fn json_is_escaped_in_several_ways() {
    let scrubber = scrubber("pass/word \u{e9}\u{1f511}");
    for form in [
        "pass/word é🔑",
        r"pass\/word é🔑",
        r"pass/word \u00e9\ud83d\udd11",
        r"pass\/word \u00E9\uD83D\uDD11",
    ] {
        assert_eq!(scrubber.text(&format!("<{form}>")), "<[secret KEY]>", "{form}");
    }
}

/// Encoded by itself it leaves nothing, however its last group is filled up.
#[test]
fn base64_of_a_whole_secret() {
    for secret in ["sw0rd/fish+canary", "sw0rd/fish+canary!", "sw0rd/fish+canary!?"] {
        let encoded = encode(secret);
        for form in [encoded.as_str(), encoded.trim_end_matches('='), &percent(&encoded, "")] {
            let clean = scrubber(secret).text(&format!("<{form}>")).into_owned();
            assert_eq!(clean, "<[secret KEY]>", "{form}");
        }
    }
}

/// As a key in PEM is, of which a log shows one line after the other.
#[test]
fn a_secret_of_several_lines_is_found_line_by_line() {
    let lines = ["MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB"];
    let key = format!("-----BEGIN KEY-----\n{}\nx\n-----END KEY-----", lines.join("\n"));
    let scrubber = scrubber(&key);
    assert_eq!(scrubber.text(&key), "[secret KEY]");
    for line in lines {
        assert_eq!(scrubber.text(&format!("  {line}\r")), "  [secret KEY]\r");
    }
    let elsewhere = "-----BEGIN KEY-----\nx";
    assert_eq!(scrubber.text(elsewhere), elsewhere);
}

#[test]
fn what_is_scrubbed_stays_json() {
    let scrubber = scrubber(CANARY);
    let json = Json::from_value(&serde_json::json!({
        CANARY: [CANARY, 1, {"x": format!("<{CANARY}>")}], "n": 12345678901234567890_u64,
    }));
    let clean = scrubber.json(json.unwrap());
    assert_eq!(
        clean.as_str(),
        r#"{"[secret KEY]":["[secret KEY]",1,{"x":"<[secret KEY]>"}],"n":12345678901234567890}"#
    );
    let digits = super::tests::scrubber("12345678");
    let clean = digits.json(Json::parse("[123456789, 5, true]").unwrap());
    assert_eq!(clean.as_str(), r#"["[secret KEY]9", 5, true]"#);
    // Escapes that hide it do not.
    let hidden = format!("[\"\\u0031{}\"]", "2345678");
    assert_eq!(digits.json(Json::parse(hidden).unwrap()).as_str(), r#"["[secret KEY]"]"#);
}

#[test]
fn errors_lose_it_everywhere() {
    let scrubber = scrubber("hunter2hunter2");
    let cause = std::io::Error::other("sent hunter2hunter2");
    let error = Error::unavailable("failed with hunter2hunter2")
        .with_source(cause)
        .with_details(serde_json::json!({"stderr": "hunter2hunter2"}).into());
    let clean = scrubber.error(error);
    let all = format!("{} {:?} {:?}", clean.chain(), clean, clean.details());
    assert!(!all.contains("hunter2"), "{all}");
    assert!(all.contains("[secret KEY]"), "{all}");
    assert!(!format!("{:?}", Secret::new("hunter2hunter2")).contains("hunter2"));
}

proptest! {
    /// Nothing of a secret in any of its forms is left, and what comes out of JSON is JSON.
    #[test]
    fn no_secret_is_left(secret in "[ -~é]{8,40}", before in "[ -~]{0,8}", after in "[ -~]{0,8}") {
        let scrubber = scrubber(&secret);
        let text = format!("{before}{secret}{after}");
        prop_assert!(!scrubber.text(&text).contains(&secret));
        let json = Json::from_value(&vec![text.as_str()]).unwrap();
        let clean: Vec<String> = scrubber.json(json).to().unwrap();
        prop_assert!(!clean[0].contains(&secret) && clean[0].contains("[secret KEY]"));
    }
}

#[test]
fn files_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    let write = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("# mine\n\nTOKEN=a=b c d e f\n", 0o600);
    let known = SecretMap::default().with_file(&path).unwrap();
    assert_eq!(known.0.values().next().unwrap().reveal(), "a=b c d e f");
    write("TOKEN=abcdefgh\n", 0o644);
    assert!(SecretMap::default().with_file(&path).unwrap_err().message().contains("chmod 600"));
    for (text, problem) in [
        ("TOKEN", ":1: not a line"),
        ("X=1\n", "8 to"),
        ("\ntoken=abcdefgh", ":2: not a secret's name"),
    ] {
        write(text, 0o600);
        let error = SecretMap::default().with_file(&path).unwrap_err();
        assert!(error.message().contains(problem), "{error}");
        assert!(!error.chain().contains("abcdefgh"), "{error}");
    }
    assert!(SecretMap::default().with_file(&folder.path().join("none")).is_err());
}

#[test]
fn variables_by_their_prefix() {
    let variables = [("P_TOKEN", "abcdefgh"), ("OTHER", "x"), ("P_EMPTY", "")];
    let pairs = variables.map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
    let known = SecretMap::default().with_variables("P_", pairs).unwrap();
    assert_eq!(known.0.len(), 1);
    let short = [(OsStr::new("P_TOKEN"), OsStr::new("short"))];
    let error = SecretMap::default().with_variables("P_", short).unwrap_err();
    assert!(!error.chain().contains("short"), "{error}");
}
