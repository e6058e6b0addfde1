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
    /// What it answers, as `"GET /v1/nodes"`
    #[arg(long)]
    route: Route,
}

pub async fn run(options: &Options) -> Result<ExitCode> {
    write(&workspace(), options)?;
    // A line that holds a long name may have to be broken.
    command::run(cargo(&["fmt", "--package", options.name.as_str()])).await?;
    let Options { name, route } = options;
    println!(
        "\n{name} answers {route} with who is asking, and its tests pass: cargo xtask test -p {name}\n\
         Now make it yours, and say what it is for where it says so by its name alone."
    );
    Ok(ExitCode::SUCCESS)
}

/// All of it or nothing: every place is prepared before the first is written.
fn write(root: &Path, options: &Options) -> Result<()> {
    let directory = root.join("functions").join(options.name.as_str());
    ensure!(!directory.exists(), "{} is there already", directory.display());
    let template = read(root, "template.yaml")?;
    ensure!(!options.route.stands_in(&template), "template.yaml has {} already", options.route);
    let mut places = places::new_files(&options.name, &options.route);
    for (path, insert) in places::edited_files() {
        let text = insert(&read(root, path)?, &options.name, &options.route)?;
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
