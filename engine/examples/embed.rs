//! Embeds the engine without `LanceDB`, a model, a server or a command line:
//! everything in memory, one tool written in Rust.
//!
//! ```text
//! cargo run -p repertoire --no-default-features --example embed -- build/python.wasm
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;

use repertoire::tools::{self, Registry};
use repertoire::workflow::Parameter;
use repertoire::{Engine, Json, Limits, RuntimeOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args().nth(1).unwrap_or_else(|| "build/python.wasm".to_owned());

    // A tool is a function with named, typed parameters.
    let text = Parameter {
        name: "text".to_owned(),
        schema: Json::parse(r#"{"type": "string"}"#)?,
        required: true,
        default: None,
        description: "What to shout.".to_owned(),
    };
    let shout = tools::function(
        "shout",
        "Makes a text loud.",
        vec![text],
        |arguments, _context| async move {
            let arguments = arguments.to::<BTreeMap<String, String>>()?;
            Json::from_value(&arguments.get("text").map(|text| text.to_uppercase()))
        },
    )?;

    let engine = Engine::builder()
        .component(
            RuntimeOptions::new(component).cache(std::env::temp_dir().join("repertoire-embed")),
        )
        .tools(Registry::empty().with(shout)?)
        .limits(Limits { fuel: 500_000_000, ..Limits::default() })
        .build()
        .await?;
    let tenant = engine.create_tenant("acme").await?;

    tenant
        .add_workflow(
            "greet",
            "def run(name: str = 'World') -> str:\n    return tools.shout(text=f'Hello, {name}!')\n",
            "Generate a greeting message",
        )
        .await?;

    let hits = tenant.search("say hello to somebody", 1).await?;
    let found = &hits.first().ok_or("nothing was found")?.workflow;
    println!("found {}{}", found.name, found.analysis.signature.text);

    let run = tenant.invoke(found.name.as_str(), serde_json::json!({"name": "Ada"})).await?;
    println!("{} ({} units of fuel)", run.value().map_err(|f| f.message.clone())?, run.usage.fuel);
    assert_eq!(run.value().map_err(|f| f.message.clone())?.as_str(), "\"HELLO, ADA!\"");

    // What runs away is stopped, and leaves a record like everything else.
    let endless = tenant.session().run("while True: pass").await?;
    let failure = endless.outcome.failure().ok_or("an endless loop has ended well")?;
    println!("{}: {}", failure.code, failure.message);
    Ok(())
}
