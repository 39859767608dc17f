//! `repertoire exec`

use super::app::App;
use super::args::Exec;
use super::{Exit, input, run};
use crate::error::Result;
use crate::id::ImageName;

pub(super) async fn exec(app: &App, given: Exec) -> Result<Exit> {
    let code = input::text(&given.file).await?;
    let live = app.output.live();
    let mut session =
        app.tenant().await?.session().limits(app.settings.limits()).on_event(live.sink());
    if let Some(seed) = given.limits.seed {
        session = session.seed(seed);
    }
    if let Some(image) = given.runtime {
        session = session.image(ImageName::new(image)?);
    }
    let run = session.run(&code).await;
    live.finish();
    run::show(&app.output, &run?, given.raw)
}
