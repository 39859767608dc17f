//! The contract's `images`: where a module is that an import did not find.

use std::sync::Arc;

use repertoire_host_bindings::images;
use wasmtime::component::HasSelf;

use super::{Caller, blocking};
use crate::error::Error;
use crate::sandbox::{Call, HostState};

impl images::Host for HostState {}

impl images::HostWithStore<HostState> for HasSelf<HostState> {
    async fn providing(mut caller: Caller<'_>, module: String) -> wasmtime::Result<Vec<String>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("images.providing", &module);
        let look = async move {
            let look = move || context.images.providing(&module);
            let found = tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| {
                Err(Error::internal("looking at images panicked").with_source(error))
            });
            found.inspect_err(|error| {
                tracing::warn!(
                    error = error.chain(),
                    "cannot tell which runtime image has a module"
                );
            })
        };
        // Without an answer the import's error says less, and is the same error.
        Ok(blocking(&mut caller, call, look).await?.unwrap_or_default())
    }
}
