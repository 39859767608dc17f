//! The program of `docs/embedding.md`.
use std::collections::BTreeMap;
use std::time::Duration;

use repertoire::tools::{Registry, function};
use repertoire::workflow::Parameter;
use repertoire::{Engine, Json, Limits, RuntimeOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args().nth(1).unwrap_or("build/python.wasm".into());
    let cache = std::env::args().nth(2).unwrap_or("build/embedding-cache".into());

    let schema = Json::parse(r#"{"type": "string"}"#)?;
    let (name, description) = ("text".to_owned(), "What to shout.".to_owned());
    let text = Parameter { name, schema, required: true, default: None, description };
    let shout = function("shout", "Makes it loud.", vec![text], |arguments, _| async move {
        let arguments = arguments.to::<BTreeMap<String, String>>()?;
        Json::from_value(&arguments.get("text").map(|text| text.to_uppercase()))
    })?;

    let engine = Engine::builder()
        .component(RuntimeOptions::new(component).cache(cache))
        .tools(Registry::empty().with(shout)?)
        .limits(Limits { fuel: 500_000_000, memory_bytes: 64 << 20, ..Limits::default() })
        .build()
        .await?;
    let acme = engine.create_tenant("acme").await?;

    let source = "def run(name: str) -> str:\n    return tools.shout(text=f'Hello, {name}!')\n";
    acme.add_workflow("greet", source, "Generate a greeting message").await?;
    let hits = acme.search("say hello to somebody", 1).await?;
    let found = hits.first().ok_or("nothing was found")?.workflow.name.to_string();
    let run = acme.invoke(&found, serde_json::json!({"name": "Ada"})).await?;
    assert_eq!(run.value().map_err(|f| f.message.clone())?.as_str(), "\"HELLO, ADA!\"");

    // Dropping a future stops the run, and all that it has called. It leaves a record, too.
    let mut session = acme.session().limits(Limits { fuel: u64::MAX >> 2, ..Limits::default() });
    let endless = session.run("while True: pass");
    assert!(tokio::time::timeout(Duration::from_millis(200), endless).await.is_err());
    Ok(())
}
