//! What stands in no file, and how long a file may be.

use crate::source::{Outcome, code, read, rust, sources, verdict};

const CODE_LINES: usize = 300;
const TEST_LINES: usize = 400;
const EVERYWHERE: &[&str] = &["shared", "functions", "cli", "dev"];

/// Put together here, so that this file does not hold them.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or open an issue"),
    (concat!("FIX", "ME"), "fix it, or open an issue"),
    (concat!("unimple", "mented!"), "write it, or leave the function out"),
    (concat!("to", "do!"), "write it, or leave the function out"),
    (concat!("#[", "ignore"), "run the test, or delete it"),
    (concat!("#[", "allow"), "say #[expect(…, reason = \"…\")]"),
    (concat!("fake_", "login"), "there is one way to sign in, in tests as well"),
    (concat!("test_", "login"), "there is one way to sign in, in tests as well"),
];

#[test]
fn no_file_is_long() -> Outcome {
    let mut problems = Vec::new();
    for (path, text) in rust(EVERYWHERE)? {
        let of_tests =
            path.contains("/tests/") || path.ends_with("/tests.rs") || path.starts_with("dev/e2e/");
        let limit = if of_tests { TEST_LINES } else { CODE_LINES };
        let lines = code(&text).count();
        if lines > limit {
            problems
                .push(format!("{path} has {lines} lines of code, {limit} are allowed: split it by purpose"));
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn nothing_is_left_for_later() -> Outcome {
    let mut files = rust(EVERYWHERE)?;
    for (directory, extension) in [("migrations", "sql"), ("docs", "md"), (".ci", "yml")] {
        files.extend(sources(directory, extension)?);
    }
    for path in ["template.yaml", "openapi.yaml", "README.md", "CONTRIBUTING.md", "Cargo.toml"] {
        files.push((path.to_owned(), read(path)?));
    }
    let mut problems = Vec::new();
    for (path, text) in files {
        for (at, line) in text.lines().enumerate() {
            let found = FORBIDDEN.iter().filter(|(word, _)| line.contains(word));
            problems.extend(found.map(|(word, instead)| format!("{path}:{}: `{word}`: {instead}", at + 1)));
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn the_environment_is_read_in_one_place() -> Outcome {
    let reads = |text: &str| code(text).any(|line| line.contains("std::env") || line.contains("env::var"));
    let files = rust(&["shared/src", "functions"])?;
    let strays = files.iter().filter(|(path, text)| {
        let of_the_product = !path.contains("/tests/");
        of_the_product && path != "shared/src/config.rs" && reads(text)
    });
    verdict(
        &strays
            .map(|(path, _)| format!("{path}: take it from Config, which names every problem at once"))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn only_functions_are_built_by_default() -> Outcome {
    let built = r#"default-members = ["functions/*"]"#;
    let holds = read("Cargo.toml")?.lines().any(|line| line == built);
    assert!(
        holds,
        "Cargo.toml: keep `{built}`; a dev crate in the release build switches features on in every function"
    );
    Ok(())
}

#[test]
fn migrations_are_numbered_and_known() -> Outcome {
    let known = read("shared/src/migrations.rs")?;
    let mut problems = Vec::new();
    for (at, (path, _)) in sources("migrations", "sql")?.iter().enumerate() {
        let name = path.trim_start_matches("migrations/");
        if !name.starts_with(&format!("{:04}_", at + 1)) {
            problems.push(format!("migrations/{name}: its number should be {:04}", at + 1));
        }
        if !known.contains(&format!("\"../../migrations/{name}\"")) {
            problems.push(format!("migrations/{name}: add it to MIGRATIONS in shared/src/migrations.rs"));
        }
    }
    verdict(&problems);
    Ok(())
}
