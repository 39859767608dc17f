//! The contract's `images`: what other runtimes there are, for a message.

use std::sync::Arc;

use repertoire_host_bindings::images;
use wasmtime::component::HasSelf;

use super::{Caller, blocking};
use crate::sandbox::{Call, HostState};

impl images::Host for HostState {}

impl images::HostWithStore<HostState> for HasSelf<HostState> {
    async fn which(mut caller: Caller<'_>, module: String) -> wasmtime::Result<Vec<String>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("images.which", &module);
        let which = async move {
            let images = context.images.as_ref();
            Ok(images.map(|images| images.which(&module)).unwrap_or_default())
        };
        // There is no error: it is a hint.
        Ok(blocking(&mut caller, call, which).await?.unwrap_or_default())
    }
}
