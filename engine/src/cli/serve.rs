//! `repertoire serve`

use std::pin::pin;

use tokio::net::TcpListener;

use super::app::App;
use super::reload::follow;
use super::{Exit, exit_at_next_interruption, interruption};
use crate::error::{Error, Result};
use crate::serve::http::Server;
use crate::serve::http::tokens::TokenFile;

pub(super) async fn serve(app: &App) -> Result<Exit> {
    let (address, limits) = (app.settings.listen()?, app.settings.http_limits());
    let tokens = TokenFile::of(app.settings.data()?);
    if tokens.list()?.is_empty() {
        app.output.note("nobody can use it yet: `repertoire token create` makes a token");
    }
    // Before anybody is told that it is there.
    let mut interrupted = pin!(interruption()?);
    let engine = tokio::select! {
        engine = app.engine() => engine?.clone(),
        exit = &mut interrupted => return Ok(exit),
    };
    let cannot = |error| {
        Error::unavailable(format!("cannot listen on {address}: choose another with --listen"))
            .with_source(error)
    };
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    app.output.note(&format!("listening on http://{address}"));
    let ended = async {
        interrupted.await;
        app.output.note("ending: no new requests");
        exit_at_next_interruption();
    };
    let server = Server::new(engine.clone(), tokens, limits);
    tokio::select! {
        served = Box::pin(server.serve(listener, ended)) => served.map(|()| Exit::Done),
        never = follow(app, &engine) => match never {},
    }
}
