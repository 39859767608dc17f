//! Tells a client what goes on while its call lasts.

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::mpsc;

use crate::run::Event;

/// Messages that wait for a slow client; what comes on top is not told.
const WAITING: usize = 64;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 512;

/// Whom one call's progress is told; by default nobody.
#[derive(Clone, Default)]
pub(super) struct Progress(Option<mpsc::Sender<String>>);

impl Progress {
    /// Tells a client that asked for it.
    pub(super) fn to(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        let (sender, mut messages) = mpsc::channel::<String>(WAITING);
        tokio::spawn(async move {
            let mut count = 0.0;
            while let Some(message) = messages.recv().await {
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
        let _ = sender.try_send(message);
    }
}
