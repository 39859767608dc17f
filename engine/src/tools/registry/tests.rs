use async_trait::async_trait;

use super::*;
use crate::embed::{Embedder, Vector};
use crate::id::TenantId;
use crate::search::MAX_QUERY;
use crate::tools::function;
use crate::workflow::Parameter;

fn context() -> CallContext {
    CallContext { tenant: TenantId::new("test").unwrap(), run: None, deadline: None }
}

fn parameter(name: &str, schema: &str, required: bool) -> Parameter {
    Parameter {
        name: name.into(),
        schema: Json::parse(schema).unwrap(),
        required,
        default: None,
        description: String::new(),
    }
}

fn echo(name: &str, description: &str) -> impl Tool + 'static {
    let parameters = vec![parameter("x", r#"{"type":"integer"}"#, false)];
    function(name, description, parameters, |arguments, context| async move {
        assert_eq!(context.tenant.as_str(), "test");
        Ok(arguments)
    })
    .unwrap()
}

fn registry() -> Registry {
    Registry::empty()
        .with(echo("curl", "Make HTTP requests to web addresses"))
        .and_then(|tools| tools.with(echo("sort", "Put lines of text in order")))
        .and_then(|tools| tools.with(echo("weather", "Tell how warm it is in a city")))
        .unwrap()
}

async fn call(tool: &str, callable: &str, arguments: &str) -> Result<Json> {
    registry().call(tool, callable, &Json::parse(arguments).unwrap(), &context()).await
}

#[tokio::test]
async fn a_function_is_a_tool() {
    assert_eq!(call("curl", "", r#"{"x": 1}"#).await.unwrap().as_str(), r#"{"x": 1}"#);
    let tools = registry();
    let names: Vec<_> = tools.list().iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["curl", "sort", "weather"]);
    assert_eq!(tools.get("sort").unwrap().description, "Put lines of text in order");
    assert!(tools.get("../sort").is_none());
    assert!(function("not a name", "", Vec::new(), |json, _| async { Ok(json) }).is_err());
}

#[tokio::test]
async fn names_that_are_not_there() {
    let message = |error: Error| {
        assert_eq!(error.code(), Code::NotFound);
        error.message().to_owned()
    };
    assert_eq!(
        message(call("crul", "", "{}").await.unwrap_err()),
        "there is no tool \"crul\"; did you mean curl?"
    );
    assert_eq!(
        message(call("zzz\n", "", "{}").await.unwrap_err()),
        "there is no tool \"zzz\\n\"; there are curl, sort, weather"
    );
    assert_eq!(
        message(call("curl", "get", "{}").await.unwrap_err()),
        "tool curl has no recipes; call it as tools.curl(...)"
    );
    let nothing = Registry::empty();
    let error = nothing.call("curl", "", &Json::empty_object(), &context()).await.unwrap_err();
    assert_eq!(message(error), "there is no tool \"curl\"; there are no tools here");
}

#[tokio::test]
async fn recipes_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = "name: x\ncommand: echo\nraw: false\nrecipes: {get: {}, head: {}}";
    std::fs::write(folder.path().join("x.yaml"), file).unwrap();
    let tools =
        Registry::from_folder(folder.path(), &crate::tools::ToolOptions::default()).unwrap();
    let message = async |callable: &str| {
        let answer = tools.call("x", callable, &Json::empty_object(), &context()).await;
        answer.unwrap_err().message().to_owned()
    };
    assert_eq!(message("gett").await, "tool x has no recipe \"gett\"; did you mean get?");
    assert_eq!(message("qqq").await, "tool x has no recipe \"qqq\"; it has get, head");
    assert_eq!(message("").await, "tool x has only recipes; call get, head");
    // Without a search path no command is found by its name.
    assert!(message("get").await.contains("is not on the search path"));
}

#[tokio::test]
async fn arguments_are_checked_before_anything_starts() {
    for arguments in [
        r#"{"x": 1, "env": {"LD_PRELOAD": "/x"}}"#,
        r#"{"x": 1, "x": 2}"#,
        r#"{"x": 1, "\u0078": 2}"#,
        r#"{"x": 1e999}"#,
        r#"{"x": [1]}"#,
        r#"{"x": true}"#,
        "[1]",
        "\"s\"",
        "null",
    ] {
        let error = call("curl", "", arguments).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{arguments}");
        assert!(error.message().starts_with("tool curl: "), "{error}");
    }
}

#[test]
fn a_name_is_taken_once() {
    let error = registry().with(echo("sort", "")).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    let parameters = vec![parameter("x", r#"{"type":"no such type"}"#, false)];
    let tool = function("bad", "", parameters, |json, _| async { Ok(json) }).unwrap();
    assert_eq!(registry().with(tool).unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let tool =
        function("big", "", Vec::new(), |_, _| async { Json::from_value(&"x".repeat(MAX_ANSWER)) });
    let tools = Registry::empty().with(tool.unwrap()).unwrap();
    let error = tools.call("big", "", &Json::empty_object(), &context()).await.unwrap_err();
    assert_eq!(error.code(), Code::ToolFailed);
    assert!(error.message().contains("may have 8388608"), "{error}");
}

#[tokio::test]
async fn search_ranks_by_meaning_and_keeps_its_vectors() {
    /// Counts what it embeds; one dimension a word.
    #[derive(Default)]
    struct Words(std::sync::atomic::AtomicUsize);

    const WORDS: [&str; 4] = ["http", "lines", "warm", "city"];

    #[async_trait]
    impl Embedder for Words {
        fn model(&self) -> &str {
            "words"
        }
        fn dimensions(&self) -> usize {
            WORDS.len()
        }
        async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>> {
            self.0.fetch_add(texts.len(), std::sync::atomic::Ordering::Relaxed);
            let embed = |text: &String| {
                let text = text.to_lowercase();
                WORDS.iter().map(|word| if text.contains(word) { 1.0 } else { 0.0 }).collect()
            };
            Ok(texts.iter().map(embed).collect())
        }
    }

    let (tools, words) = (registry(), Words::default());
    let names = async |query: &str, limit| -> Vec<String> {
        let found = tools.search(query, limit, &words, &context()).await.unwrap();
        found.iter().map(|info| info.name.to_string()).collect()
    };
    assert_eq!(names("is it warm in the city", 1).await, ["weather"]);
    assert_eq!(names("http", 10).await, ["curl", "sort", "weather"]);
    assert_eq!(names("sort these lines", 2).await, ["sort", "curl"]);
    // Three tools once, each with and without its name, and three questions.
    assert_eq!(words.0.load(std::sync::atomic::Ordering::Relaxed), 9);
    assert_eq!(names(" ", 2).await, ["curl", "sort"]);
    assert_eq!(names("http", 0).await, Vec::<String>::new());
    assert!(tools.search(&"x".repeat(MAX_QUERY + 1), 1, &words, &context()).await.is_err());
    assert!(Registry::empty().search("x", 1, &words, &context()).await.unwrap().is_empty());
}
