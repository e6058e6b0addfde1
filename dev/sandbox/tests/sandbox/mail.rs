//! Mail: what is sent is found in the mailbox, and what is not sent is not.

use sandbox::{Misbehaviour, Route, Sandbox, Service, When};
use serde_json::{Value, json};

use crate::client::{call, sandbox, send};

const DATE: (&str, &str) = ("x-amz-date", "20260109T120000Z");
const SIGNATURE: &str = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";

fn authorization(key: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260109/us-east-1/{service}/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, Signature={SIGNATURE}"
    )
}

fn mail(to: &[&str]) -> Value {
    let utf8 = |text: &str| json!({"Data": text, "Charset": "UTF-8"});
    json!({
        "FromEmailAddress": "Satchel <hello@example.com>",
        "Destination": {"ToAddresses": to},
        "Content": {"Simple": {"Subject": utf8("Grüße"), "Body": {"Text": utf8("token 1\n")}}},
    })
}

async fn post(sandbox: &Sandbox, body: &Value) -> anyhow::Result<(u16, Value)> {
    let authorization = authorization("AKIDEXAMPLE", "ses");
    let url = format!("{}/v2/email/outbound-emails", sandbox.mail().url());
    let headers = [DATE, ("content-type", "application/json"), ("authorization", authorization.as_str())];
    call("POST", &url, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_mail_lies_in_the_mailbox_it_was_sent_to() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let (status, first) = post(&sandbox, &mail(&["a@example.com"])).await?;
    assert_eq!(status, 200);
    post(&sandbox, &mail(&["b@example.com"])).await?;
    let inbox = sandbox.mail().inbox("a@example.com");
    assert_eq!(inbox.len(), 1);
    assert_eq!(json!(inbox[0].id), first["MessageId"]);
    assert_eq!((inbox[0].subject.as_str(), inbox[0].text.as_str()), ("Grüße", "token 1\n"));
    assert_eq!(inbox[0].from, "Satchel <hello@example.com>");
    assert_eq!(sandbox.mail().letters().len(), 2);
    assert!(!format!("{inbox:?}").contains("token 1"));
    let control = format!("{}/sandbox/mail", sandbox.base_url());
    let (_, seen) = call("GET", &format!("{control}/a%40example.com"), &[], "").await?;
    assert_eq!(seen["letters"][0]["text"], json!("token 1\n"));
    assert_eq!(call("GET", &control, &[], "").await?.1["letters"].as_array().map(Vec::len), Some(2));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_not_signed_is_not_sent() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let url = format!("{}/v2/email/outbound-emails", sandbox.mail().url());
    let body = mail(&["a@example.com"]).to_string();
    assert_eq!(call("POST", &url, &[DATE], &body).await?.0, 403);
    let short = authorization("AKIDEXAMPLE", "ses").replace(SIGNATURE, "5d67");
    for (key, authorization, status) in [
        ("another service", authorization("AKIDEXAMPLE", "secretsmanager"), 400),
        ("a signature that is none", short, 400),
        ("the key we know, and another signature", authorization("local", "ses"), 403),
    ] {
        let headers = [DATE, ("content-type", "application/json"), ("authorization", authorization.as_str())];
        assert_eq!(call("POST", &url, &headers, &body).await?.0, status, "{key}");
    }
    let right = authorization("AKIDEXAMPLE", "ses");
    assert_eq!(call("POST", &url, &[("authorization", right.as_str())], &body).await?.0, 400, "no date");
    assert!(sandbox.mail().letters().is_empty());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_ses_does_not_take_is_not_sent() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let with = |pointer: &str, value: Value| {
        let mut mail = mail(&["a@example.com"]);
        if let Some(place) = mail.pointer_mut(pointer) {
            *place = value;
        }
        mail
    };
    for refused in [
        with("/Destination/ToAddresses", json!([])),
        with("/Destination/ToAddresses", json!(["a@example.com, b@example.com"])),
        with("/Destination/ToAddresses", json!(["a@example.com\r\nBcc: b@example.com"])),
        with("/Content/Simple/Subject/Data", json!("one\r\nBcc: b@example.com")),
        with("/Content/Simple/Subject/Charset", json!("latin1")),
        with("/Content", json!({"Raw": {"Data": ""}})),
    ] {
        let (status, body) = post(&sandbox, &refused).await?;
        assert_eq!(status, 400, "{refused} {body}");
    }
    sandbox.mail().refuse("a@example.com", "MessageRejected");
    assert_eq!(post(&sandbox, &mail(&["a@example.com"])).await?.0, 400);
    sandbox.mail().accept("a@example.com");
    sandbox.mail().unverify("Satchel <hello@example.com>");
    assert_eq!(post(&sandbox, &mail(&["a@example.com"])).await?.0, 400);
    assert!(sandbox.mail().letters().is_empty());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn it_misbehaves_as_the_others_do() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let control = format!("{}/sandbox/mail/a@example.com/refused", sandbox.base_url());
    assert_eq!(call("PUT", &control, &[], r#"{"code":"MessageRejected"}"#).await?.0, 200);
    assert_eq!(post(&sandbox, &mail(&["a@example.com"])).await?.0, 400);
    assert_eq!(call("DELETE", &control, &[], "").await?.0, 200);
    let cut = Misbehaviour::CutBody { bytes: 4 };
    sandbox.faults().add(Route::service(Service::Mail), When::Times(1), cut)?;
    assert!(post(&sandbox, &mail(&["a@example.com"])).await.is_err(), "the answer breaks off");
    assert_eq!(sandbox.mail().inbox("a@example.com").len(), 1, "and the mail is sent");
    assert_eq!(sandbox.calls_to(Service::Mail, "/ses/v2/email/outbound-emails"), 2);
    assert_eq!(send("GET", &format!("{}/v2/email", sandbox.mail().url()), &[], "").await?.0, 404);
    sandbox.stop().await;
    Ok(())
}
