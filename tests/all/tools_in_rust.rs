//! The program of `docs/tools.md`.

use std::path::Path;

use repertoire::tools::{Registry, ToolOptions, function, typed};

/// Where it is, and for how long.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Forecast {
    /// The city's name.
    city: String,
    /// How many days; 1 if not given.
    #[serde(default = "one")]
    days: u8,
}

const fn one() -> u8 {
    1
}

/// The tools of a folder, and two of ours.
fn tools(folder: &Path) -> repertoire::Result<Registry> {
    let echo =
        function("echo", "Answers its arguments.", Vec::new(), |arguments, _context| async {
            Ok(arguments)
        })?;
    let forecast =
        typed("forecast", "Tells the weather.", |Forecast { city, days }, context| async move {
            Ok(format!("{}: {days} days of sun in {city}", context.tenant))
        })?;
    Registry::from_folder(folder, &ToolOptions::default())?.with(echo)?.with(forecast)
}

// The document ends here.

#[test]
fn the_document_has_the_program_as_it_is() {
    let read = |path: &str| {
        let path = repertoire_tests::repository().join(path);
        std::fs::read_to_string(path).unwrap()
    };
    let (page, file) = (read("docs/tools.md"), read("tests/all/tools_in_rust.rs"));
    let (_, block) = page.split_once("```rust\n").unwrap();
    let (_, program) = file.split_once("`docs/tools.md`.\n\n").unwrap();
    let (program, _) = program.split_once("\n// The document ends here.").unwrap();
    assert_eq!(block.split_once("```").unwrap().0, program);
}

#[tokio::test]
async fn they_are_called_as_the_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tools(folder.path()).unwrap();
    let tenant = repertoire_tests::bench_with(|builder| builder.tools(tools)).await.tenant;
    let run = async |code: &str| tenant.session().run(code).await.unwrap();
    let value = run("tools.forecast(city='Rome')").await;
    assert_eq!(value.value().unwrap().as_str(), r#""acme: 1 days of sun in Rome""#);
    let wrong = run("tools.forecast(city='Rome', days='many')").await;
    assert!(wrong.outcome.failure().unwrap().message.contains("days"));
    let shown = run("repr(tools.forecast)").await;
    assert!(shown.value().unwrap().as_str().contains("city: str"), "{shown:?}");
    let _ = run("tools.echo()").await.value().unwrap();
}
