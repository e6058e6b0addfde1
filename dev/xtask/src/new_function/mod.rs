//! `cargo xtask new-function`: a function that answers, in every place a function has to stand.

mod names;
mod places;

use crate::command::{self, cargo, workspace};
use anyhow::{Context, Result, ensure};
use names::{Name, Route};
use places::Place;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Options {
    /// What it does, as `list_nodes`: a verb, then what it is done to
    name: Name,
    /// What it answers, as `"GET /v1/nodes"`; without it, `GET /v1/` and the name
    #[arg(long)]
    route: Option<Route>,
}

impl Options {
    fn route(&self) -> Result<Route> {
        let own = || {
            format!("GET /v1/{}", self.name.as_str().replace('_', "-")).parse().map_err(anyhow::Error::msg)
        };
        self.route.clone().map_or_else(own, Ok)
    }
}

pub async fn run(options: &Options) -> Result<ExitCode> {
    let (name, route) = (&options.name, &options.route()?);
    write(&workspace(), name, route)?;
    // A line that holds a long name may have to be broken.
    command::run(cargo(&["fmt", "--package", name.as_str()])).await?;
    println!(
        "\n{name} answers {route} with who is asking, and its tests pass: cargo xtask test -p {name}\n\
         Now make it yours, and say what it is for where it says so by its name alone."
    );
    Ok(ExitCode::SUCCESS)
}

/// All of it or nothing: every place is prepared before the first is written.
fn write(root: &Path, name: &Name, route: &Route) -> Result<()> {
    let directory = root.join("functions").join(name.as_str());
    ensure!(!directory.exists(), "{} is there already", directory.display());
    let template = read(root, "template.yaml")?;
    ensure!(!route.stands_in(&template), "template.yaml has {route} already");
    let mut places = places::new_files(name, route);
    for (path, insert) in places::edited_files() {
        let text = insert(&read(root, path)?, name, route)?;
        places.push(Place { path: path.to_owned(), text });
    }
    for Place { path, text } in places {
        let file = root.join(&path);
        let verb = if file.exists() { "changed" } else { "wrote" };
        fs::create_dir_all(file.parent().context("a file is in a directory")?)?;
        fs::write(&file, text).with_context(|| path.clone())?;
        println!("{verb:<8}{path}");
    }
    Ok(())
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| path.to_owned())
}
