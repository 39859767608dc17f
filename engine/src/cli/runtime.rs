//! `repertoire runtime`

mod fetch;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Exit;
use super::app::App;
use super::args::Runtime;
use super::progress::waiting;
use super::text::{Align, Table};
use super::workflows::deleted;
use crate::error::{Error, Result};
use crate::id::ImageName;
use crate::images::{Image, MAX_WHEELS, Wheel};

/// Digits of a digest that are shown.
const SHORT: usize = 12;

pub(super) async fn dispatch(app: &App, command: Runtime) -> Result<Exit> {
    match command {
        Runtime::Build { name, requirement, wheel, python, refresh } => {
            build(app, &name, requirement, &wheel, &python, refresh).await
        }
        Runtime::List => list(app).await,
        Runtime::Show { name } => show(app, &name).await,
        Runtime::Remove { name } => {
            app.engine().await?.remove_image(&name).await?;
            deleted(&app.output, &name)
        }
    }
}

async fn build(
    app: &App,
    name: &str,
    requirements: Vec<String>,
    files: &[PathBuf],
    python: &Path,
    refresh: bool,
) -> Result<Exit> {
    let name = ImageName::new(name)?;
    if requirements.is_empty() && files.is_empty() {
        return Err(Error::invalid_argument(
            "there is nothing to build: name packages with --requirement PACKAGE==VERSION, or wheels with --wheel FILE",
        ));
    }
    let engine = app.engine().await?;
    let same = |image: &&Image| {
        files.is_empty() && image.names.contains(&name) && image.requirements == requirements
    };
    let known = engine.images().await?;
    if let Some(image) = known.iter().find(same).filter(|_| !refresh) {
        app.output.note(&format!("{name} has these packages already; --refresh asks pip again"));
        return built(app, &name, image);
    }
    let mut wheels = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    if !requirements.is_empty() {
        let fetch = fetch::wheels(app, python, &requirements);
        wheels.extend(waiting(&app.output, "fetching packages", fetch).await?);
    }
    let mut asked = requirements;
    asked.extend(wheels.iter().take(files.len()).map(|wheel| wheel.file.clone()));
    let build = engine.build_image(name.clone(), asked, wheels);
    let image = waiting(&app.output, "importing packages", build).await?;
    built(app, &name, &image)
}

fn read(file: &Path) -> Result<Wheel> {
    let unreadable = |error| {
        Error::invalid_argument(format!("cannot read {}", file.display())).with_source(error)
    };
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_WHEELS as u64 {
        return Err(Error::invalid_argument(format!(
            "{} has {size} bytes, and the wheels of an image may have {MAX_WHEELS}",
            file.display()
        )));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Wheel { file: name, bytes })
}

#[derive(Serialize)]
struct Shown<'a> {
    names: Vec<&'a str>,
    digest: &'a str,
    requirements: &'a [String],
    packages: Vec<ShownPackage<'a>>,
}

#[derive(Serialize)]
struct ShownPackage<'a> {
    name: &'a str,
    version: &'a str,
    file: &'a str,
    sha256: &'a str,
    modules: &'a [String],
    without: &'a [String],
}

impl<'a> From<&'a Image> for Shown<'a> {
    fn from(image: &'a Image) -> Self {
        let packages = image.packages.iter().map(|each| ShownPackage {
            name: &each.package.name,
            version: &each.package.version,
            file: &each.file,
            sha256: &each.sha256,
            modules: &each.package.modules,
            without: &each.package.without,
        });
        Self {
            names: image.names.iter().map(ImageName::as_str).collect(),
            digest: &image.digest,
            requirements: &image.requirements,
            packages: packages.collect(),
        }
    }
}

fn short(image: &Image) -> &str {
    image.digest.get(..SHORT).unwrap_or(&image.digest)
}

fn contents(image: &Image) -> String {
    let packages = image.packages.iter().map(|each| &each.package);
    let texts: Vec<_> = packages.map(|p| format!("{} {}", p.name, p.version)).collect();
    texts.join(", ")
}

fn built(app: &App, name: &ImageName, image: &Image) -> Result<Exit> {
    if app.output.json {
        app.output.object(&Shown::from(image))?;
        return Ok(Exit::Done);
    }
    app.output.note(&format!("{name} is {}: {}", short(image), contents(image)));
    for each in &image.packages {
        if !each.package.without.is_empty() {
            app.output.note(&format!(
                "{} is without its native code ({})",
                each.package.name,
                each.package.without.join(", ")
            ));
        }
    }
    Ok(Exit::Done)
}

async fn list(app: &App) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        images: Vec<Shown<'a>>,
    }
    let images = app.engine().await?.images().await?;
    if app.output.json {
        app.output.object(&Listing { images: images.iter().map(Into::into).collect() })?;
        return Ok(Exit::Done);
    }
    if images.is_empty() {
        app.output.note("there are no runtime images: `repertoire runtime build` makes one");
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new([("NAME", Align::Left), ("DIGEST", Align::Left), ("PACKAGES", Align::Left)]);
    for image in &images {
        let names: Vec<_> = image.names.iter().map(ImageName::as_str).collect();
        let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
        table.row([names, short(image).to_owned(), contents(image)]);
    }
    app.output.print_foreign(&table.render())?;
    Ok(Exit::Done)
}

async fn show(app: &App, name: &str) -> Result<Exit> {
    let image = app.engine().await?.image(name).await?;
    if app.output.json {
        app.output.object(&Shown::from(&image))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        ("PACKAGE", Align::Left),
        ("VERSION", Align::Left),
        ("MODULES", Align::Left),
        ("SHA-256 OF THE WHEEL", Align::Left),
    ]);
    for each in &image.packages {
        let package = &each.package;
        let modules = package.modules.join(", ");
        table.row([package.name.clone(), package.version.clone(), modules, each.sha256.clone()]);
    }
    app.output.print_foreign(&format!(
        "digest   {}\nasked    {}\n",
        image.digest,
        image.requirements.join(", ")
    ))?;
    app.output.print_foreign(&table.render())?;
    Ok(Exit::Done)
}
