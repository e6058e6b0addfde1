//! Tools that are not asked of the machine: fetched once, at a fixed version, into `target/tools`.

use crate::command::{self, cargo, program};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use testing::postgres::target_dir;

const CARGO_DENY: &str = "0.20.2";

/// Packages from `PyPI` that go into one virtual environment: each environment has one set of dependencies.
pub struct Python {
    name: &'static str,
    packages: &'static [&'static str],
}

/// Checks `template.yaml`.
pub const TEMPLATE: Python =
    Python { name: "template", packages: &["aws-sam-cli==1.170.0", "cfn-lint==1.58.0"] };
/// Tries the API with what its description allows and forbids.
pub const SCHEMATHESIS: Python = Python { name: "schemathesis", packages: &["schemathesis==4.32.5"] };
/// Invokes functions the way their authors do.
pub const CARGO_LAMBDA: Python = Python { name: "cargo-lambda", packages: &["cargo-lambda==1.9.2"] };

impl Python {
    /// A program of this environment, which is made first if it is not there.
    pub async fn program(&self, name: &str) -> Result<PathBuf> {
        let home = tools().join("python").join(self.name);
        // The programs name their own path, so an environment that was moved is made again.
        let recipe = format!("{}\n{}\n", home.display(), self.packages.join("\n"));
        let stamp = home.join("complete");
        if !holds(&stamp, &recipe) {
            println!("installing {}", self.packages.join(", "));
            let directory = home.display().to_string();
            command::output(program("python3", &["-m", "venv", "--clear", &directory]))
                .await
                .context("Python 3 with its module venv is needed (Debian and Ubuntu: python3-venv)")?;
            let mut pip = program(home.join("bin/pip"), &["install", "--quiet"]);
            pip.arg("--disable-pip-version-check").args(self.packages);
            command::output(pip).await?;
            fs::write(stamp, recipe)?;
        }
        Ok(home.join("bin").join(name))
    }
}

/// The one tool built from source: its wheel is too old to read `deny.toml`.
pub async fn cargo_deny() -> Result<PathBuf> {
    let home = tools().join("cargo-deny");
    let stamp = home.join("complete");
    if !holds(&stamp, CARGO_DENY) {
        println!("building cargo-deny {CARGO_DENY}");
        let build = tools().join("cargo-deny-build");
        let mut install = cargo(&["install", "--locked", "--quiet", "cargo-deny", "--version", CARGO_DENY]);
        // Quickly built rather than quick: it runs for a second.
        install.args(["--no-default-features", "--profile", "dev", "--config", "profile.dev.debug=false"]);
        install.arg("--root").arg(&home).arg("--target-dir").arg(&build);
        command::output(install).await?;
        fs::remove_dir_all(build)?;
        fs::write(stamp, CARGO_DENY)?;
    }
    Ok(home.join("bin/cargo-deny"))
}

/// Says early that something is missing which only the machine's owner can install.
pub fn check_prerequisites() -> Result<()> {
    for (tool, what) in [("cc", "a C compiler"), ("python3", "Python 3"), ("npm", "Node 20 with npm")] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|directory| directory.join(tool).exists());
        ensure!(found, "{what} is needed ({tool} is not on the PATH)");
    }
    Ok(())
}

fn tools() -> PathBuf {
    target_dir().join("tools")
}

fn holds(stamp: &Path, recipe: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|found| found == recipe)
}
