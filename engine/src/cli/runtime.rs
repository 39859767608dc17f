//! `repertoire runtime`

use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::app::App;
use super::args::Runtime as Command;
use super::output::Output;
use super::progress::waiting;
use super::text::{self, Align, Table};
use super::{Exit, workflows};
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::images::{Image, Images};
use crate::sandbox::Runtime;

pub(super) async fn dispatch(app: &App, command: Command) -> Result<Exit> {
    let images = Images::new(app.settings.images()?);
    match command {
        Command::Build { requirement, name } => {
            let digest = build(app, &images, &requirement).await?;
            images.call(&name, &digest)?;
            let image = images.find(&name)?;
            compile(app, &images, &image).await?;
            list(&app.output, &[image])
        }
        Command::List => list(&app.output, &images.list()?),
        Command::Remove { name } => {
            if !images.remove(&name)? {
                return Err(Error::not_found(format!(
                    "there is no runtime image {}",
                    quoted(&name)
                )));
            }
            workflows::deleted(&app.output, &name)
        }
    }
}

/// Runs the recipe, and answers the digest of what it has made.
async fn build(app: &App, images: &Images, requirements: &[String]) -> Result<String> {
    #[derive(Deserialize)]
    struct Made {
        digest: String,
    }
    let (recipe, python) = app.settings.recipe()?;
    let mut command = tokio::process::Command::new(python);
    command.arg(recipe).arg("--out").arg(images.dir()).stdin(Stdio::null()).kill_on_drop(true);
    for requirement in requirements {
        // In one word: it cannot be taken for an option.
        command.arg(format!("--requirement={requirement}"));
    }
    let wait = "building the image: once for these packages, half a minute";
    let run = Box::pin(async {
        command.output().await.map_err(|error| {
            let python = python.display();
            Error::unavailable(format!(
                "cannot run {python}, which the setting runtime.python names"
            ))
            .with_source(error)
        })
    });
    let output = waiting(&app.output, wait, run).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.rsplit_once("error: ").map_or(said.as_ref(), |(_, problem)| problem);
        return Err(Error::invalid_argument(said.trim().to_owned()));
    }
    let made: Made = serde_json::from_slice(&output.stdout).map_err(|error| {
        Error::internal("the recipe of images has not said what it made").with_source(error)
    })?;
    Ok(made.digest)
}

/// Compiles an image ahead of time, so that the first run does not wait for it.
async fn compile(app: &App, images: &Images, image: &Image) -> Result<()> {
    let mut options = app.runtime_options()?;
    options.component = images.component(image);
    let wait = "compiling the image: once on this machine, some 20 seconds";
    waiting(&app.output, wait, Box::pin(Runtime::load(options))).await.map(drop)
}

#[derive(Serialize)]
struct Shown<'a> {
    names: &'a [String],
    digest: &'a str,
    packages: Vec<Package<'a>>,
    bytes: u64,
}

#[derive(Serialize)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    left_out: &'a [String],
}

fn list(output: &Output, images: &[Image]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        images: Vec<Shown<'a>>,
    }
    if output.json {
        let shown = |image| {
            let Image { digest, names, packages, bytes, .. }: &Image = image;
            let packages = packages.iter().map(|package| Package {
                name: &package.name,
                version: &package.version,
                left_out: &package.left_out,
            });
            Shown { names, digest, packages: packages.collect(), bytes: *bytes }
        };
        output.object(&Listing { images: images.iter().map(shown).collect() })?;
        return Ok(Exit::Done);
    }
    if images.is_empty() {
        output.note("there are no runtime images; `repertoire runtime build` makes one");
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("DIGEST", Align::Left),
        ("SIZE", Align::Right),
        ("PACKAGES", Align::Left),
    ]);
    for image in images {
        let packages: Vec<_> = image
            .packages
            .iter()
            .map(|package| format!("{}=={}", package.name, package.version))
            .collect();
        table.row([
            image.names.join(", "),
            image.digest.chars().take(12).collect(),
            text::bytes(image.bytes),
            packages.join(", "),
        ]);
    }
    output.print_foreign(&table.render())?;
    Ok(Exit::Done)
}
