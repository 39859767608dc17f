use super::*;
use crate::error::Code;

fn new(scopes: &[Scope]) -> NewToken {
    NewToken {
        name: "laptop".to_owned(),
        tenant: TenantId::new("acme").unwrap(),
        incarnation: "1".to_owned(),
        scopes: scopes.to_vec(),
        expires_in: None,
    }
}

#[test]
fn a_token_is_found_until_it_is_revoked() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = TokenFile::of(dir.path());
    let tokens = Tokens::new(file.clone());
    assert!(tokens.find("rpt_x").unwrap().is_none());
    let (token, text) = file.create(new(&[Scope::Run, Scope::Read, Scope::Run])).unwrap();
    assert!(text.starts_with(PREFIX) && text.len() == PREFIX.len() + 43, "{text}");
    assert_eq!(token.scopes, [Scope::Read, Scope::Run]);
    assert!(token.allows(Scope::Run) && !token.allows(Scope::Write));
    let kept = fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert!(!kept.contains(&text) && kept.contains(&token.id));
    let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(tokens.find(&text).unwrap(), Some(token.clone()));
    for wrong in ["", PREFIX, &text[1..], &text[..text.len() - 1], &format!("{text}a")] {
        assert_eq!(tokens.find(wrong).unwrap(), None, "{wrong}");
    }
    let (other, _) = file.create(new(&[Scope::Admin])).unwrap();
    assert!(other.allows(Scope::Write));
    assert!(file.revoke(&token.id).unwrap());
    assert!(!file.revoke(&token.id).unwrap());
    assert_eq!(tokens.find(&text).unwrap(), None);
    assert_eq!(file.list().unwrap(), [other]);
    assert!(file.revoke_all_of(&TenantId::new("acme").unwrap()).unwrap());
    assert!(!file.revoke_all_of(&TenantId::new("acme").unwrap()).unwrap());
}

#[test]
fn a_token_expires() {
    let dir = tempfile::tempdir().unwrap();
    let file = TokenFile::of(dir.path());
    let soon = NewToken { expires_in: Some(Duration::from_millis(1)), ..new(&[Scope::Read]) };
    let (_, text) = file.create(soon).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(Tokens::new(file).find(&text).unwrap(), None);
}

#[test]
fn what_cannot_be_read_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = TokenFile::of(dir.path());
    let (_, text) = file.create(new(&[Scope::Read])).unwrap();
    let tokens = Tokens::new(file.clone());
    assert!(tokens.find(&text).unwrap().is_some());
    for damaged in ["", "{", "[]", r#"{"format": 2, "keys": []}"#] {
        fs::write(dir.path().join(FILE), damaged).unwrap();
        assert_eq!(tokens.find(&text).unwrap_err().code(), Code::Unavailable, "{damaged}");
        assert_eq!(file.create(new(&[Scope::Read])).unwrap_err().code(), Code::Unavailable);
    }
    fs::write(dir.path().join(FILE), vec![b' '; (MAX_FILE + 1) as usize]).unwrap();
    assert_eq!(tokens.find(&text).unwrap_err().code(), Code::Unavailable);
}

#[test]
fn refuses_what_is_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = TokenFile::of(dir.path());
    assert_eq!(file.create(new(&[])).unwrap_err().code(), Code::InvalidArgument);
    let long = NewToken { name: "x".repeat(MAX_NAME + 1), ..new(&[Scope::Read]) };
    assert_eq!(file.create(long).unwrap_err().code(), Code::InvalidArgument);
    assert!(!dir.path().join(FILE).exists());
    assert!(Scope::parse("root").is_err());
}

#[test]
fn two_may_create_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = TokenFile::of(dir.path());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let file = file.clone();
            std::thread::spawn(move || file.create(new(&[Scope::Read])).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(file.list().unwrap().len(), 8);
}
