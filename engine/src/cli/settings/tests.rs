use clap::Parser;

use super::super::args::Cli;
use super::*;

/// The settings of a command in a directory with this `repertoire.toml`.
fn settings(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Settings> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("repertoire.toml"), file).unwrap();
    let below = dir.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let environment = Environment {
        variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        current_dir: below,
        data_dir: Some("/home/u/.local/share".into()),
        cache_dir: Some("/home/u/.cache".into()),
        ..Environment::default()
    };
    let command = ["repertoire", "config"].iter().chain(flags);
    Settings::read(
        &environment,
        &Cli::try_parse_from(command).unwrap().global,
        CommandFlags::default(),
    )
}

fn refused(file: &str) -> String {
    let message = settings(file, &[], &[]).unwrap_err().chain();
    message.split_once("repertoire.toml").unwrap().1.to_owned()
}

#[test]
fn flags_then_environment_then_file_then_defaults() {
    let file =
        "tenant = \"file\"\ntools = \"tools\"\n[limits]\nfuel = 1_000\ntimeout_seconds = 0.5\n";
    let found =
        settings(file, &[("REPERTOIRE_TENANT", "variable")], &["--tenant", "flag"]).unwrap();
    assert_eq!(found.tenant().unwrap().as_str(), "flag");
    let found = settings(file, &[("REPERTOIRE_TENANT", "variable")], &[]).unwrap();
    assert_eq!(found.tenant().unwrap().as_str(), "variable");
    let found = settings(file, &[("REPERTOIRE_TENANT", "")], &[]).unwrap();
    assert_eq!(found.tenant().unwrap().as_str(), "file");
    assert_eq!(found.limits().fuel, 1000);
    assert_eq!(found.limits().wall_time, Duration::from_millis(500));
    assert_eq!(found.limits().depth, Limits::default().depth);
    assert_eq!(found.data().unwrap(), Path::new("/home/u/.local/share/repertoire"));
    // Relative to the file, not to where one stands.
    let tools = found.path("tools").unwrap();
    assert!(tools.ends_with("tools") && !tools.to_string_lossy().contains("a/b"), "{tools:?}");
}

#[test]
fn a_path_may_be_a_uri() {
    let found = settings("data = \"file:///var/lib/a%20b\"", &[], &[]).unwrap();
    assert_eq!(found.data().unwrap(), Path::new("/var/lib/a b"));
    for (uri, expected) in [
        ("s3://bucket/library", "s3 is no place that this program can use"),
        ("file://elsewhere/data", "it is no file:// URI of this machine"),
    ] {
        let message = settings("", &[], &["--data", uri]).unwrap_err().chain();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn every_default_is_the_engines() {
    assert_eq!(settings("", &[], &[]).unwrap().limits(), Limits::default());
}

#[test]
fn mistakes_name_their_line() {
    for (file, expected) in [
        ("\ntenat = \"a\"", ":2: there is no setting tenat; did you mean tenant?"),
        ("[limits]\nful = 1", ":2: there is no setting limits.ful; did you mean limits.fuel?"),
        ("fuel = 1", ":1: there is no setting fuel; did you mean limits.fuel?"),
        ("data = 3", ":1: data: expected a string, found an integer"),
        ("[limits]\nfuel = \"3\"", ":2: limits.fuel: expected a number, found a string"),
        ("[limits]\ndepth = 0", ":2: limits.depth: 0 would let nothing run; use at least 1"),
        ("limits = 3", ":1: limits is a section: write [limits] on a line of its own"),
        ("tenants = 3", ":1: tenants.NAME is a section: write [tenants.NAME] on a line of its own"),
        (
            "[tenants]\nacme = \"a\"",
            ":2: tenants.acme is a section: write [tenants.acme] on a line of its own",
        ),
        (
            "[tenants.acme]\nimgae = \"a\"",
            ":2: there is no setting tenants.acme.imgae; did you mean image?",
        ),
        (
            "[tenants.acme]\nimage = 1",
            ":2: tenants.acme.image: expected a string, found an integer",
        ),
    ] {
        assert_eq!(refused(file), expected);
    }
    assert!(refused("a = = 1").starts_with(":1: "));
    assert!(refused("zzzzzzzz = 1").contains("there are data, tools"));
    assert!(refused("[tenats.acme]\nimage = \"a\"").ends_with("did you mean tenants?"));
    assert!(refused("\n[tenants.Acme]").starts_with(":2: "));
    assert!(refused("[tenants.acme]\nimage = \"A\"").starts_with(":2: tenants.acme.image: "));
}

#[test]
fn variables_that_mean_nothing_are_named() {
    let found = settings("", &[("REPERTOIRE_FUL", "1")], &[]).unwrap();
    assert_eq!(
        found.unknown_variables,
        ["environment variable REPERTOIRE_FUL means nothing; did you mean REPERTOIRE_FUEL?"]
    );
    assert!(settings("", &[("REPERTOIRE_FUEL", "-1")], &[]).is_err());
}

#[test]
fn a_tenant_has_grants_of_its_own() {
    let file = "[grants]\nallow = [\"tools\"]\ndeny = [\"tools.mail\"]\n\
                [tenants.acme.grants]\nallow = [\"tools.curl.get\"]\n[tenants.plain]\nimage = \"\"\n";
    let found = settings(file, &[], &["--tenant", "acme"]).unwrap();
    let own = found.tenant_grants().unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!((own[0].0.as_str(), own[0].1.allow.len(), own[0].1.deny.len()), ("acme", 1, 0));
    assert_eq!(found.granted().unwrap().deny.len(), 0);
    assert_eq!(settings(file, &[], &[]).unwrap().granted().unwrap().deny.len(), 1);
    let shown = found.all().find(|(name, _)| name == "tenants.acme.grants.allow").unwrap();
    assert!(shown.1.unwrap().1.to_string().ends_with("repertoire.toml:5"));
    for (wrong, expected) in [
        ("[tenants.acme.grants]\nalow = []", "did you mean grants.allow?"),
        ("[tenants.acme.grants]\nallow = [\"nonsense\"]", "repertoire.toml:2: grants.allow: "),
        ("[tenants.acme]\ngrants = 1", "there is no setting tenants.acme.grants"),
    ] {
        let error = settings(wrong, &[], &[]).err().unwrap();
        assert!(error.message().contains(expected), "{wrong}: {error}");
    }
}

#[test]
fn a_tenant_has_an_image_of_its_own() {
    let file = "[runtime]\nimage = \"usual\"\n[tenants.acme]\nimage = \"reports\"\n\
                [tenants.plain]\nimage = \"\"\n[tenants.nothing]\n";
    let found = settings(file, &[("REPERTOIRE_IMAGE", "variable")], &[]).unwrap();
    assert_eq!(found.image().unwrap().unwrap().as_str(), "variable");
    let images = found.tenant_images().unwrap();
    let images: Vec<_> = images
        .iter()
        .map(|(id, image)| (id.as_str(), image.as_ref().map(ImageName::as_str)))
        .collect();
    assert_eq!(images, [("acme", Some("reports")), ("plain", None)]);
    let shown = found.all().find(|(name, _)| name == "tenants.acme.image").unwrap().1.unwrap();
    assert_eq!(shown.0, Value::Text("reports".to_owned()));
    assert!(shown.1.to_string().ends_with("repertoire.toml:4"), "{}", shown.1);
}
