//! The settings of `repertoire serve`.

use std::net::SocketAddr;

use super::{Origin, Settings, Value};
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::serve::http::{HttpLimits, is_loopback};

/// Where the server listens if nobody says.
pub(super) const USUAL: &str = "127.0.0.1:8787";

impl Settings {
    /// Where the server listens.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is no address, or
    /// one that others can reach and that no flag has named: a file found by chance must not open
    /// the library to a network.
    pub(in super::super) fn listen(&self) -> Result<SocketAddr> {
        let (text, origin) = match self.values.get("serve.listen") {
            Some((Value::Text(text), origin)) => (text.as_str(), origin),
            _ => (USUAL, &Origin::Default),
        };
        let address: SocketAddr = text.parse().map_err(|error| {
            Error::invalid_argument(format!(
                "{origin}: serve.listen is {}, which is no address; one is 127.0.0.1:8787 or \
                 [::1]:8787",
                quoted(text)
            ))
            .with_source(error)
        })?;
        if !is_loopback(&address) && !matches!(origin, Origin::Flag(_)) {
            return Err(Error::invalid_argument(format!(
                "{origin}: serve.listen is {address}, which other machines can reach: if that is \
                 what you want, say so with --listen {address}"
            )));
        }
        Ok(address)
    }

    /// What clients may take of the server.
    pub(in super::super) fn http_limits(&self) -> HttpLimits {
        let usual = HttpLimits::default();
        let count = |name| usize::try_from(self.count(name)).unwrap_or(usize::MAX);
        let grace = match self.values.get("serve.grace_seconds") {
            Some((Value::Seconds(time), _)) => *time,
            _ => usual.grace,
        };
        HttpLimits {
            grace,
            connections: count("serve.connections"),
            connections_per_address: count("serve.connections_per_address"),
            ..usual
        }
    }
}
