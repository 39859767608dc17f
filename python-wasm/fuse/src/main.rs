//! Fuses the core modules of the Python component into one.
//!
//! componentize-py links a dozen shared libraries when the component is
//! instantiated: they share a memory and a table, find each other's data through
//! mutable globals, and each fills its part of the table. All of that is known
//! once the component is built. This program does it then:
//!
//! - calls from library to library become direct calls;
//! - globals that nobody sets become constants;
//! - the table's content becomes static, so that a runtime may fill it lazily;
//! - large copies are made in pieces, so that a guest can be stopped in the midst of one.
//!
//! What the modules import of the host is left as it is: the two small modules
//! that `wit-component` puts between (shim and fix-up) stay.
//!
//! ```text
//! python-wasm-fuse IN.wasm OUT.wasm
//! ```

mod bulk;
mod component;
mod core;

use std::error::Error;
use std::{env, fs, process};

/// Every error ends the program, with its message.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        eprintln!("usage: python-wasm-fuse IN.wasm OUT.wasm");
        process::exit(2);
    };
    if let Err(error) = fuse(from, to) {
        eprintln!("python-wasm-fuse: {error}");
        process::exit(1);
    }
}

fn fuse(from: &str, to: &str) -> Result<()> {
    let bytes = fs::read(from).map_err(|error| format!("{from}: {error}"))?;
    let fused = component::fuse(&bytes)?;
    wasmparser::Validator::new()
        .validate_all(&fused)
        .map_err(|error| format!("the fused component is not valid: {error}"))?;
    fs::write(to, fused).map_err(|error| format!("{to}: {error}"))?;
    Ok(())
}
