//! Who may name whom.

use crate::source::{Names, Outcome, code, names_in, read, rust, sources, verdict};

/// The layers of `shared`, top first, and what each may name besides itself. A module not listed is a question
/// somebody has to answer: which layer is it?
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("runtime", &["runtime"], &["http", "domain", "providers", "lightning", "db", "ground"]),
    ("http", &["http"], &["domain", "providers", "lightning", "db", "ground"]),
    (
        "domain",
        &[
            "account",
            "activity",
            "audit",
            "breaker",
            "challenge",
            "connected_account",
            "erasure",
            "idempotency",
            "invoice",
            "lock",
            "mail",
            "node",
            "oauth_state",
            "one_time_token",
            "outbox",
            "password",
            "payment",
            "payout",
            "preferences",
            "private_beta",
            "rate_limit",
            "reseal",
            "session",
            "setup",
            "sign_in",
            "signing_key",
            "subscription",
            "token",
            "user",
            "wallet",
            "webhook",
        ],
        &["providers", "lightning", "db", "ground"],
    ),
    (
        "providers",
        &[
            "firebase", "upstream", "btcpay", "voltage", "lnd", "stripe", "discord", "privy", "ses",
            "breaches",
        ],
        &["lightning", "ground"],
    ),
    ("lightning", &["lightning"], &[]),
    ("db", &["db", "fresh", "migrations"], &["ground"]),
    ("ground", &["clock", "config", "crypto", "email", "log", "metrics", "random", "secrets"], &[]),
];

/// The modules of the crate a file names, as `crate::a`, `crate::{a, b::c}` or, at the top, `super::a`.
fn modules_named(path: &str, text: &str) -> Names {
    let code = code(text).collect::<Vec<_>>().join("\n");
    let at_the_top = path.matches('/').count() == 2;
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut named = Names::new();
    for start in if at_the_top { &["crate::", "super::"][..] } else { &["crate::"] } {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            let Some(group) = rest.strip_prefix('{') else {
                named.insert(word(rest));
                continue;
            };
            let mut depth = 0;
            let mut item = 0;
            for (place, character) in group.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth > 0 => depth -= 1,
                    ',' | '}' if depth == 0 => {
                        named.insert(word(&group[item..place]));
                        item = place + 1;
                    }
                    _ => {}
                }
                if character == '}' && item == place + 1 {
                    break;
                }
            }
        }
    }
    named
}

fn layer_of(
    module: &str,
) -> Option<&'static (&'static str, &'static [&'static str], &'static [&'static str])> {
    LAYERS.iter().find(|(_, modules, _)| modules.contains(&module))
}

#[test]
fn arrows_point_down() -> Outcome {
    let mut problems = Vec::new();
    for (path, text) in sources("shared/src", "rs")? {
        let module = path.split('/').nth(2).unwrap_or_default().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let Some((layer, _, below)) = layer_of(module) else {
            problems.push(format!("{path}: say in LAYERS of this file which layer `{module}` belongs to"));
            continue;
        };
        for named in modules_named(&path, &text) {
            let Some((other, ..)) = layer_of(&named) else { continue };
            if other != layer && !below.contains(other) {
                problems.push(format!(
                    "{path} ({layer}) names crate::{named} ({other}), which is not below it: pass the value in, \
                     or move the code to the layer that may know both"
                ));
            }
        }
    }
    verdict(&problems);
    Ok(())
}

#[test]
fn only_the_runtime_knows_lambda() -> Outcome {
    let knows =
        |text: &str| code(text).any(|line| line.contains("lambda_runtime") || line.contains("lambda_events"));
    let files = rust(&["shared/src", "functions"])?;
    let strays = files.iter().filter(|(path, text)| !path.starts_with("shared/src/runtime") && knows(text));
    verdict(
        &strays
            .map(|(path, _)| format!("{path}: leave Lambda's types to shared::runtime"))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

#[test]
fn a_function_depends_on_shared_and_on_no_other_function() -> Outcome {
    let functions = names_in("functions")?;
    let mut forbidden = names_in("dev")?;
    forbidden.extend(functions.iter().cloned());
    let mut problems = Vec::new();
    for name in &functions {
        let manifest = read(&format!("functions/{name}/Cargo.toml"))?;
        let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        for line in section.split("\n[").next().unwrap_or_default().lines() {
            let dependency = line.split(['=', '.']).next().unwrap_or_default().trim();
            if forbidden.contains(dependency) {
                problems
                    .push(format!("functions/{name} links `{dependency}`: move what it needs to `shared`"));
            }
        }
    }
    verdict(&problems);
    Ok(())
}
