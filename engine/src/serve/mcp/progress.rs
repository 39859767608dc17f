//! Tells a client what goes on while its call lasts.

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::{mpsc, oneshot};

use crate::run::Event;

/// Messages that wait for a slow client; what comes on top is not told.
const WAITING: usize = 64;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 512;

/// Whom one call's progress is told; by default nobody.
#[derive(Clone, Default)]
pub(super) struct Progress(Option<mpsc::Sender<Told>>);

enum Told {
    Message(String),
    /// Answered when all before it was told.
    Flush(oneshot::Sender<()>),
}

impl Progress {
    /// Tells a client that asked for it.
    pub(super) fn to(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        let (sender, mut messages) = mpsc::channel::<Told>(WAITING);
        tokio::spawn(async move {
            let mut count = 0.0;
            while let Some(told) = messages.recv().await {
                let message = match told {
                    Told::Message(message) => message,
                    Told::Flush(done) => {
                        // Who waits may have gone.
                        let _ = done.send(());
                        continue;
                    }
                };
                count += 1.0;
                let told = ProgressNotificationParam::new(token.clone(), count);
                if peer.notify_progress(told.with_message(message)).await.is_err() {
                    return; // The client is gone.
                }
            }
        });
        Self(Some(sender))
    }

    /// Called from a run: never waits.
    pub(super) fn tell(&self, event: &Event) {
        let Some(sender) = &self.0 else { return };
        let mut message = match event {
            Event::Output { text, .. } => text.trim_end().to_owned(),
            Event::CallStarted { target, .. } => format!("{target} ..."),
            Event::CallEnded { target, error: Some(code), .. } => {
                format!("{target}: {}", code.as_str())
            }
            Event::CallEnded { target, took, .. } => {
                format!("{target}: done in {} ms", took.as_millis())
            }
        };
        if message.is_empty() {
            return;
        }
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        // A client that does not keep up misses some of it.
        let _ = sender.try_send(Told::Message(message));
    }

    /// Waits until the client was told all: what comes after a call's result is for nobody.
    pub(super) async fn flush(&self) {
        let Some(sender) = &self.0 else { return };
        let (done, flushed) = oneshot::channel();
        if sender.send(Told::Flush(done)).await.is_ok() {
            // An error is a client that is gone.
            let _ = flushed.await;
        }
    }
}
