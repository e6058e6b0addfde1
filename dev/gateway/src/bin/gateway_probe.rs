//! The function the tests run. `PROBE_START` says how it starts, `PROBE` in the event (or in the query, or in the
//! JSON body) what it does: the tests of the gateway need a function that misbehaves on command.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process,
    time::Duration,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let start = std::env::vars_os().find(|(name, _)| name == "PROBE_START").map(|(_, value)| value);
    match start.as_ref().and_then(|value| value.to_str()) {
        Some("exit") => {
            eprintln!("the setting PROBE_COLOUR is missing");
            process::exit(7);
        }
        Some("init-error") => {
            report_init_error()?;
            process::exit(1);
        }
        Some("hang") => tokio::time::sleep(Duration::from_mins(10)).await,
        _ => {}
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (payload, context) = event.into_parts();
    let query = &payload["queryStringParameters"];
    let said =
        |name: &str| payload[name].as_str().or_else(|| query[name].as_str()).unwrap_or_default().to_owned();
    match said("PROBE").as_str() {
        "exit" => process::exit(3),
        "panic" => panic!("as told"),
        "error" => Err("as told".into()),
        "hang" => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            Ok(Value::Null)
        }
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(said("MS").parse()?)).await;
            Ok(json!({ "statusCode": 200, "body": process::id().to_string() }))
        }
        "say" => {
            println!("to stdout");
            eprintln!("to stderr");
            Ok(json!({ "said": true }))
        }
        "context" => Ok(json!({
            "deadline": context.deadline,
            "arn": context.invoked_function_arn,
            "request_id": context.request_id,
            "environment": std::env::vars().collect::<std::collections::BTreeMap<_, _>>(),
        })),
        "no-answer" => Ok(json!({ "statusCode": "many" })),
        "binary" => Ok(json!({ "statusCode": 200, "body": "AAH/", "isBase64Encoded": true })),
        "bare" => Ok(json!({ "bare": true })),
        _ => Ok(json!({
            "statusCode": 200,
            "headers": { "content-type": "application/json", "x-pid": process::id() },
            "cookies": ["a=1", "b=2"],
            "body": payload.to_string(),
        })),
    }
}

/// `lambda_runtime` does not send this for a failed start of ours, so it is said by hand.
fn report_init_error() -> Result<(), Error> {
    let address = std::env::vars().find(|(name, _)| name == "AWS_LAMBDA_RUNTIME_API").unwrap_or_default().1;
    let (host, path) = address.trim_start_matches("http://").split_once('/').unwrap_or_default();
    let body = r#"{"errorType":"Probe","errorMessage":"no colour"}"#;
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "POST /{path}/2018-06-01/runtime/init/error HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}
