//! The same endpoints in Python and Node: their packages at pinned versions, installed below `target/`, and each
//! handler wrapped in a file that runs like a binary.

use crate::binaries::run;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use testing::postgres::target_dir;
use testing::world::root;
use tokio::process::Command;

const STATEMENTS: &str = include_str!("../peers/statements.json");
pub const HANDLERS: [&str; 3] = ["do_nothing", "create_challenge", "verify_lightning_signature"];

pub fn directory(language: &str) -> PathBuf {
    target_dir().join("bench").join(language)
}

pub fn statement(name: &str) -> Result<String> {
    let all: serde_json::Value = serde_json::from_str(STATEMENTS)?;
    Ok(all[name].as_str().with_context(|| format!("statements.json has no {name}"))?.to_owned())
}

pub async fn install() -> Result<()> {
    copy("python")?;
    copy("node")?;
    python(&directory("python")).await?;
    node(&directory("node")).await
}

/// Its packages are many, and its client is generated: beside the others, for who needs it. Beside `node`, whose files it
/// uses.
pub async fn install_prisma() -> Result<()> {
    copy("prisma")?;
    let to = directory("prisma");
    clean_install(&to).await?;
    let mut generate = Command::new(to.join("node_modules/.bin/prisma"));
    // It is asked for though nothing is migrated, and would be fetched from afar.
    generate.args(["generate"]).env("PRISMA_SCHEMA_ENGINE_BINARY", "/bin/true").current_dir(&to);
    generate.env("CHECKPOINT_DISABLE", "1").env("PRISMA_HIDE_UPDATE_MESSAGE", "1").stdout(Stdio::null());
    run(generate).await
}

fn copy(language: &str) -> Result<()> {
    let (from, to) = (root().join("dev/bench/peers").join(language), directory(language));
    fs::create_dir_all(&to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(fs::write(to.join("statements.json"), STATEMENTS)?)
}

/// Unless these very packages are there already.
async fn clean_install(to: &Path) -> Result<()> {
    let (wanted, installed) = (to.join("package-lock.json"), to.join("node_modules/installed.json"));
    if fs::read(&installed).is_ok_and(|there| fs::read(&wanted).is_ok_and(|wanted| wanted == there)) {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--silent"]).current_dir(to);
    run(install).await.context("Node 20 with npm is needed")?;
    fs::copy(wanted, installed)?;
    Ok(())
}

async fn python(to: &Path) -> Result<()> {
    let interpreter = to.join("venv/bin/python");
    if !interpreter.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(to.join("venv"));
        run(make).await.context("Python 3 with venv is needed")?;
    }
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    install.arg(to.join("requirements.txt"));
    run(install).await?;
    let body = fs::read_to_string(to.join("run.py"))?;
    HANDLERS.iter().try_for_each(|name| executable(&to.join("run").join(name), &interpreter, &body))
}

async fn node(to: &Path) -> Result<()> {
    clean_install(to).await?;
    let found = Command::new("node").args(["--print", "process.execPath"]).output().await?;
    let node = PathBuf::from(String::from_utf8(found.stdout)?.trim());
    HANDLERS.iter().try_for_each(|name| {
        let body = fs::read_to_string(to.join(format!("{name}.mjs")))?.replace("\"./", "\"../");
        executable(&to.join("run").join(format!("{name}.mjs")), &node, &body)
    })
}

fn executable(path: &Path, interpreter: &Path, body: &str) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, format!("#!{}\n{body}", interpreter.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
