//! A host in one file: one tool that echoes, no library, no artifacts.
//!
//! ```text
//! cargo run -p repertoire-host-bindings --example minimal -- build/python.wasm
//! ```
//!
//! It compiles the component anew (some twenty seconds) and sets no limits;
//! the crate `repertoire` is what a host looks like that runs code it does not trust.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use repertoire_host_bindings::{
    Workflow, artifacts, calls, guest, images, tools, types, workflows,
};
use wasmtime::component::{Access, Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    /// Answers of started calls that have not been fetched yet.
    done: Vec<calls::Completion>,
    started: u64,
}

type Caller<'a> = Access<'a, Host, HasSelf<Host>>;
type Answer<T> = Result<Result<T, types::Error>>;

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn refuse<T>(what: &str) -> Answer<T> {
    Ok(Err(types::Error {
        code: types::ErrorCode::Denied,
        message: format!("this host has no {what}"),
        details: None,
    }))
}

impl types::Host for Host {}
impl calls::Host for Host {}
impl tools::Host for Host {}
impl workflows::Host for Host {}
impl artifacts::Host for Host {}
impl images::Host for Host {}

impl images::HostWithStore<Host> for HasSelf<Host> {
    async fn providing(_: Caller<'_>, _module: String) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl calls::HostWithStore<Host> for HasSelf<Host> {
    async fn wait(mut caller: Caller<'_>, _timeout: Option<u64>) -> Result<Vec<calls::Completion>> {
        Ok(std::mem::take(&mut caller.data_mut().done))
    }

    async fn cancel(mut caller: Caller<'_>, id: calls::CallId) -> Result<()> {
        caller.data_mut().done.retain(|call| call.id != id);
        Ok(())
    }
}

impl tools::HostWithStore<Host> for HasSelf<Host> {
    async fn list(_: Caller<'_>) -> Result<Vec<tools::Tool>> {
        Ok(Vec::new())
    }

    async fn get(_: Caller<'_>, name: String) -> Answer<tools::Tool> {
        refuse(&format!("tool {name}"))
    }

    async fn search(_: Caller<'_>, _query: String, _limit: u32) -> Answer<Vec<tools::Tool>> {
        Ok(Ok(Vec::new()))
    }

    async fn call(_: Caller<'_>, tool: String, _: String, arguments: String) -> Answer<String> {
        if tool == "echo" { Ok(Ok(arguments)) } else { refuse(&format!("tool {tool}")) }
    }

    async fn start(
        mut caller: Caller<'_>,
        _tool: String,
        _callable: String,
        arguments: String,
    ) -> Answer<calls::CallId> {
        let host = caller.data_mut();
        host.started += 1;
        host.done.push(calls::Completion { id: host.started, answer: Ok(arguments) });
        Ok(Ok(host.started))
    }
}

impl workflows::HostWithStore<Host> for HasSelf<Host> {
    async fn create(_: Caller<'_>, _: String, _: String, _: String) -> Answer<workflows::Workflow> {
        refuse("library")
    }

    async fn get(_: Caller<'_>, _: String) -> Answer<Option<workflows::Workflow>> {
        Ok(Ok(None))
    }

    async fn list(_: Caller<'_>) -> Answer<Vec<workflows::Workflow>> {
        Ok(Ok(Vec::new()))
    }

    async fn search(_: Caller<'_>, _: String, _: u32) -> Answer<Vec<workflows::Hit>> {
        Ok(Ok(Vec::new()))
    }

    async fn delete(_: Caller<'_>, _: String, _: bool) -> Answer<workflows::Deletion> {
        Ok(Ok(workflows::Deletion { existed: false, broken: Vec::new() }))
    }

    async fn history(_: Caller<'_>, _: String) -> Answer<Vec<workflows::Creation>> {
        Ok(Ok(Vec::new()))
    }

    async fn restore(_: Caller<'_>, _: String, _: String) -> Answer<workflows::Workflow> {
        refuse("library")
    }

    async fn invoke(_: Caller<'_>, _: String, _: String, _: bool) -> Answer<String> {
        refuse("library")
    }

    async fn start_invoke(_: Caller<'_>, _: String, _: String, _: bool) -> Answer<calls::CallId> {
        refuse("library")
    }
}

impl artifacts::HostWithStore<Host> for HasSelf<Host> {
    async fn append(_: Caller<'_>, _: Option<u64>, _: Vec<u8>) -> Answer<artifacts::UploadId> {
        refuse("artifacts")
    }

    async fn save(
        _: Caller<'_>,
        _: String,
        _: artifacts::Content,
        _: artifacts::SaveOptions,
    ) -> Answer<artifacts::Metadata> {
        refuse("artifacts")
    }

    async fn load(_: Caller<'_>, _: String, _: Option<u64>) -> Answer<Option<artifacts::Loaded>> {
        Ok(Ok(None))
    }

    async fn read(_: Caller<'_>, _: String, _: u64, _: u64) -> Answer<Vec<u8>> {
        refuse("artifacts")
    }

    async fn get(_: Caller<'_>, _: String, _: Option<u64>) -> Answer<Option<artifacts::Metadata>> {
        Ok(Ok(None))
    }

    async fn list(_: Caller<'_>, _: artifacts::Filter) -> Answer<Vec<artifacts::Metadata>> {
        Ok(Ok(Vec::new()))
    }

    async fn versions(_: Caller<'_>, _: String) -> Answer<Vec<artifacts::Metadata>> {
        Ok(Ok(Vec::new()))
    }

    async fn delete(_: Caller<'_>, _: String, _: Option<u64>) -> Answer<bool> {
        Ok(Ok(false))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "build/python.wasm".to_owned());
    let mut config = Config::new();
    config.max_wasm_stack(4 << 20).async_stack_size(6 << 20);
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Workflow::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;

    let host = Host {
        wasi: WasiCtxBuilder::new().inherit_stdout().build(),
        table: ResourceTable::new(),
        done: Vec::new(),
        started: 0,
    };
    let mut store = Store::new(&engine, host);
    let instance = Workflow::instantiate_async(&mut store, &component, &linker).await?;
    let invocation = guest::Invocation {
        name: "demo".to_owned(),
        source: "import asyncio\n\
                 async def run(n: int) -> list:\n    \
                     print('hello from Python')\n    \
                     one = tools.echo(x=n)\n    \
                     two = await asyncio.gather(*[tools.echo.call_async(x=i) for i in range(n)])\n    \
                     return [one, *two]\n"
            .to_owned(),
        arguments: r#"{"n": 2}"#.to_owned(),
        code: None,
    };
    let outcome = instance.repertoire_workflow_guest().call_run(&mut store, &invocation).await?;
    let value = outcome.map_err(|failure| anyhow::anyhow!(failure.traceback))?.value;
    println!("{value}");
    anyhow::ensure!(value == r#"[{"x":2},{"x":0},{"x":1}]"#, "unexpected value");
    Ok(())
}
