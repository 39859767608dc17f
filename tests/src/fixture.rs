//! A tool that does what a test asks for, and remembers that it was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use repertoire::id::ToolName;
use repertoire::tools::{CallContext, Callable, Tool, ToolInfo};
use repertoire::workflow::Parameter;
use repertoire::{Code, Error, Json, Result};

/// What the fixture has seen.
#[derive(Default)]
pub struct Seen {
    /// Calls that have begun.
    pub started: AtomicUsize,
    /// Calls that have begun and have neither answered nor been dropped.
    pub in_flight: AtomicUsize,
    /// The most calls that were in flight at once.
    pub most: AtomicUsize,
    /// The arguments of the first ten thousand calls, large ones excepted.
    pub arguments: Mutex<Vec<String>>,
}

impl Seen {
    /// Calls that have begun.
    pub fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Calls that have begun and have neither answered nor been dropped.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until so many calls are in flight; the bound is for a test that has failed.
    pub async fn until_in_flight(&self, count: usize) {
        for _ in 0..30_000 {
            if self.in_flight() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{} calls are in flight after 30 s, not {count}", self.in_flight());
    }
}

/// Counts a call as in flight until it is dropped.
struct InFlight(Arc<Seen>);

impl InFlight {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.started.fetch_add(1, Ordering::SeqCst);
        let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The tool `test`: `tools.test.echo(x=1)`, `.hang()`, `.hang_with(x=1)`, `.sleep(ms=10)`,
/// `.big(n=1000)`, `.deep(n=1000)`, `.fail(message="...")`, `.panic()`.
pub struct Fixture {
    info: ToolInfo,
    seen: Arc<Seen>,
}

impl Fixture {
    /// The tool; what it sees goes to `seen`.
    #[must_use]
    pub fn new(seen: Arc<Seen>) -> Self {
        let callables = vec![
            callable("echo", "Answers what it is given", &[("x", "{}")]),
            callable("typed", "Answers a whole number", &[("x", r#"{"type": "integer"}"#)]),
            callable("hang", "Never answers", &[]),
            callable("hang_with", "Never answers", &[("x", "{}")]),
            callable("sleep", "Answers after a while", &[("ms", r#"{"type": "integer"}"#)]),
            callable("big", "Answers with so many characters", &[("n", r#"{"type": "integer"}"#)]),
            callable(
                "deep",
                "Answers with so many nested lists",
                &[("n", r#"{"type": "integer"}"#)],
            ),
            callable("fail", "Fails with this message", &[("message", r#"{"type": "string"}"#)]),
            callable("panic", "Has a bug", &[]),
        ];
        let info = ToolInfo {
            name: ToolName::new("test").expect("a valid name"),
            description: "Does what a test asks for".to_owned(),
            tags: vec!["test".to_owned()],
            callables,
        };
        Self { info, seen }
    }
}

fn callable(name: &str, description: &str, parameters: &[(&str, &str)]) -> Callable {
    let parameter = |(name, schema): &(&str, &str)| Parameter {
        name: (*name).to_owned(),
        schema: Json::parse(*schema).expect("a valid schema"),
        required: true,
        default: None,
        description: String::new(),
    };
    Callable {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: parameters.iter().map(parameter).collect(),
    }
}

#[async_trait]
impl Tool for Fixture {
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    async fn call(&self, callable: &str, arguments: &Json, _: &CallContext) -> Result<Json> {
        let _in_flight = InFlight::new(&self.seen);
        // For tests that look at them; a soak's would fill the memory that it measures.
        {
            let mut known = self.seen.arguments.lock().unwrap();
            if arguments.len() < 4096 && known.len() < 10_000 {
                known.push(arguments.to_string());
            }
        }
        let given = arguments.to::<serde_json::Value>();
        let number =
            |name: &str| given.as_ref().map_or(0, |given| given[name].as_u64().unwrap_or(0));
        match callable {
            "echo" => Ok(arguments.clone()),
            "typed" => Json::from_value(&number("x")),
            "hang" | "hang_with" => std::future::pending().await,
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(number("ms"))).await;
                Json::from_value(&number("ms"))
            }
            "big" => Json::from_value(&"x".repeat(usize::try_from(number("n")).unwrap_or(0))),
            "deep" => {
                let n = usize::try_from(number("n")).unwrap_or(0);
                Json::parse(format!("{}{}", "[".repeat(n), "]".repeat(n)))
            }
            "fail" => {
                let message = given?["message"].as_str().unwrap_or_default().to_owned();
                Err(Error::new(Code::ToolFailed, message))
            }
            _ => panic!("the fixture panics, as it was asked to"),
        }
    }
}
