//! `cargo lambda invoke` of every file in `events/`, the way the author of a function tries it.

use crate::command::{self, program, workspace};
use crate::stack::Stack;
use crate::steps::Tally;
use crate::tools;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// It may have to build the function first.
const WATCH_ANSWERS_WITHIN: Duration = Duration::from_mins(10);

/// The happy path needs rows that a fresh stack does not have. There the error has to be the one of the API.
pub async fn every_event(api: &str) -> Result<Tally> {
    let cargo_lambda = tools::CARGO_LAMBDA.program("cargo-lambda").await?;
    let port = api.rsplit(':').next().context("the address names a port")?;
    let mut tally = Tally::default();
    for event in events()? {
        let file = event.display().to_string();
        let name = event.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let arguments = ["lambda", "invoke", "-A", "127.0.0.1", "-P", port, &name, "--data-file", &file];
        let judged = command::output(program(&cargo_lambda, &arguments)).await.and_then(|out| judge(&out));
        match judged {
            Ok(verdict) => {
                println!("{name:<28} {verdict}");
                tally.passed += 1;
            }
            Err(error) => {
                eprintln!("{name:<28} {error:#}");
                tally.failed += 1;
            }
        }
    }
    ensure!(tally.passed + tally.failed > 0, "events/ holds no event");
    Ok(tally)
}

/// One function under `cargo lambda watch`, for who works on it that way. It is no gateway: it restarts nothing.
pub async fn under_watch(stack: &Stack) -> Result<Tally> {
    let name = "create_challenge";
    let cargo_lambda = tools::CARGO_LAMBDA.program("cargo-lambda").await?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    // Every interface is its default.
    let at = ["-A", "127.0.0.1", "-P", port.as_str()];
    let mut watch = program(&cargo_lambda, &["lambda", "watch", "--ignore-changes"]);
    watch.args(at).envs(stack.environment(name)?).env("AWS_EC2_METADATA_DISABLED", "true");
    let mut invoke = program(&cargo_lambda, &["lambda", "invoke"]);
    invoke.args(at).args([name, "--data-file", &format!("events/{name}.json")]);
    let answer = async {
        while TcpStream::connect(("127.0.0.1", port.parse()?)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        command::output(invoke).await
    };
    let answer = tokio::select! {
        answer = timeout(WATCH_ANSWERS_WITHIN, answer) => answer.context("no answer under cargo lambda watch")??,
        ended = command::run(watch) => bail!("cargo lambda watch ended: {ended:?}"),
    };
    ensure!(judge(&answer)? == "200", "under cargo lambda watch: {answer}");
    Ok(Tally::PASSED)
}

fn events() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(workspace().join("events"))?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files)
}

fn judge(output: &str) -> Result<String> {
    let answer: Value = serde_json::from_str(output).with_context(|| format!("not JSON: {output}"))?;
    // A job's answer is its report.
    let Some(status) = answer["statusCode"].as_u64() else { return Ok("report".to_owned()) };
    match status {
        200..=299 => Ok(status.to_string()),
        300..=399 => {
            let location = answer["headers"]["location"].as_str().context("the redirect leads nowhere")?;
            Ok(format!("{status} to {}", location.split('?').next().unwrap_or_default()))
        }
        400..=499 => {
            let body = answer["body"].as_str().context("the error has no body")?;
            let body: Value = serde_json::from_str(body).context("the error's body is not JSON")?;
            let code = body["error"].as_str().context("the error has no code")?;
            for field in ["message", "requestId", "timestamp"] {
                ensure!(body[field].is_string(), "the error has no {field}: {body}");
            }
            ensure!(body["success"] == false, "the error claims success: {body}");
            Ok(format!("{status} {code}"))
        }
        _ => bail!("{status}: {}", answer["body"]),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use serde_json::json;

    #[test]
    fn errors_count_as_fine_only_in_the_one_form_and_never_as_5xx() {
        let error = json!({"success": false, "error": "NOT_FOUND", "message": "m", "requestId": "r", "timestamp": "t"});
        let answer = |status: u16, body: String| json!({"statusCode": status, "body": body}).to_string();
        assert_eq!(judge(&answer(404, error.to_string())).unwrap(), "404 NOT_FOUND");
        assert!(judge(&answer(503, error.to_string())).is_err());
        assert!(judge(&answer(404, json!({"message": "Not Found"}).to_string())).is_err());
        assert_eq!(judge(r#"{"applied":[]}"#).unwrap(), "report");
        let away = json!({"statusCode": 302, "headers": {"location": "https://a.example/b?c=d"}, "body": ""});
        assert_eq!(judge(&away.to_string()).unwrap(), "302 to https://a.example/b");
        assert!(judge(&answer(302, String::new())).is_err());
    }
}
