//! Mail that is sent, and every way it is not.

use std::time::Duration;

use anyhow::Context;
use proptest::prelude::*;
use sandbox::{Misbehaviour, Route, Service, When};
use shared::ses::{Mail, NotAMail, Ses, SesError};
use shared::upstream::Upstream;
use testing::Result;

use crate::ground::{Ground, problems};
use crate::server::{Reply, Server};

const TO: &str = "ann@example.com";
const PATH: &str = "/ses/v2/email/outbound-emails";
const SOON: Duration = Duration::from_secs(5);

async fn ground() -> Result<Ground> {
    let ground = Ground::new().await?;
    let url = ground.sandbox.mail().url();
    Ok(ground.with("MAIL_FROM", "Satchel <hello@example.com>").with("SES_URL", &url))
}

async fn wired(ground: &Ground) -> Result<Ses> {
    let mut config = ground.config();
    let upstream = Upstream::wire(&mut config);
    let ses = Ses::wire(&mut config, &upstream).context("no SES")?;
    config.finish().await?;
    Ok(ses)
}

fn mail() -> Result<Mail, NotAMail> {
    Mail::new(TO, "Grüße", "canary-token\n")
}

fn verdict(outcome: Result<String, SesError>) -> String {
    match outcome {
        Ok(_) => "sent".into(),
        Err(SesError::Refused(code)) => format!("refused {code}"),
        Err(SesError::Retry(_)) => "retry".into(),
    }
}

/// The signature of a known key is checked by the sandbox: what is sent is what was signed.
#[tokio::test]
async fn a_mail_arrives_signed_and_word_for_word() -> Result<()> {
    let ground = ground().await?;
    let id = wired(&ground).await?.send(&mail()?, SOON).await?;
    let letters = ground.sandbox.mail().inbox(TO);
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].id.as_str(), letters[0].from.as_str()),
        (id.as_str(), "Satchel <hello@example.com>")
    );
    assert_eq!((letters[0].subject.as_str(), letters[0].text.as_str()), ("Grüße", "canary-token\n"));
    let other = ground.with("AWS_SECRET_ACCESS_KEY", "another");
    assert_eq!(verdict(wired(&other).await?.send(&mail()?, SOON).await), "retry", "signed with another key");
    assert_eq!(other.sandbox.mail().letters().len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_session_token_of_a_function_is_sent_and_signed() -> Result<()> {
    let server = Server::start([Reply::json(200, r#"{"MessageId":"1"}"#)]).await?;
    let ground = ground().await?.with("SES_URL", &server.url).with("AWS_SESSION_TOKEN", "canary-session");
    wired(&ground).await?.send(&mail()?, SOON).await?;
    let heard = server.heard();
    assert_eq!(heard[0].line, "POST /v2/email/outbound-emails");
    assert_eq!(heard[0].header("x-amz-security-token"), Some("canary-session"));
    let authorization = heard[0].header("authorization").context("not signed")?;
    assert!(authorization.contains("/20260109/eu-central-1/ses/aws4_request"), "{authorization}");
    assert!(authorization.contains("content-type;host;x-amz-date;x-amz-security-token"), "{authorization}");
    assert_eq!(heard[0].header("x-amz-date"), Some("20260109T120000Z"));
    Ok(())
}

#[tokio::test]
async fn what_ses_refuses_for_ever_is_told_from_what_may_pass() -> Result<()> {
    let ground = ground().await?;
    let ses = wired(&ground).await?;
    for (code, expected) in [
        ("MessageRejected", "refused MessageRejected"),
        ("BadRequestException", "refused BadRequestException"),
        ("AccountSuspendedException", "retry"),
        ("SendingPausedException", "retry"),
        ("MailFromDomainNotVerifiedException", "retry"),
        ("TooManyRequestsException", "retry"),
        ("LimitExceededException", "retry"),
        ("SomethingOfTomorrow", "retry"),
    ] {
        ground.sandbox.mail().refuse(TO, code);
        assert_eq!(verdict(ses.send(&mail()?, SOON).await), expected, "{code}");
    }
    for (status, header, expected) in [
        (
            400,
            "MessageRejected:http://internal.amazon.com/coral/com.amazonaws.ses/",
            "refused MessageRejected",
        ),
        (500, "MessageRejected", "retry"),
        (302, "", "retry"),
    ] {
        let reply = Reply::with(status, &[("x-amzn-errortype", header)], "{}");
        let server = Server::start([reply]).await?;
        let ses = wired(&self::ground().await?.with("SES_URL", &server.url)).await?;
        assert_eq!(verdict(ses.send(&mail()?, SOON).await), expected, "{status} {header}");
    }
    Ok(())
}

#[tokio::test]
async fn whatever_goes_wrong_one_call_is_one_try() -> Result<()> {
    let ground = ground().await?;
    let ses = wired(&ground).await?;
    for (misbehave, sent) in [
        (Misbehaviour::FailBefore { status: 503, body: "busy".into() }, 0),
        (Misbehaviour::RateLimited { retry_after: 7 }, 0),
        (Misbehaviour::CloseBefore, 0),
        (Misbehaviour::FailAfter { status: 504, body: "late".into() }, 1),
        (Misbehaviour::CloseAfter, 1),
        (Misbehaviour::CutBody { bytes: 4 }, 1),
        (Misbehaviour::Garbage, 1),
    ] {
        let before = (ground.sandbox.mail().letters().len(), ground.sandbox.calls_to(Service::Mail, PATH));
        ground.sandbox.faults().add(Route::service(Service::Mail), When::Times(1), misbehave.clone())?;
        assert_eq!(verdict(ses.send(&mail()?, SOON).await), "retry", "{misbehave:?}");
        assert_eq!(ground.sandbox.mail().letters().len(), before.0 + sent, "{misbehave:?}");
        assert_eq!(ground.sandbox.calls_to(Service::Mail, PATH), before.1 + 1, "{misbehave:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_mail_takes_no_longer_than_it_may() -> Result<()> {
    let ground = ground().await?;
    let ses = wired(&ground).await?;
    ground.sandbox.faults().add(Route::service(Service::Mail), When::Always, Misbehaviour::Hang)?;
    let started = tokio::time::Instant::now();
    let Err(SesError::Retry(why)) = ses.send(&mail()?, Duration::from_millis(200)).await else {
        anyhow::bail!("it was sent")
    };
    assert_eq!(why, "no answer within 200 ms");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_server_that_nobody_listens_at_is_another_time() -> Result<()> {
    let ground = ground().await?.with("SES_URL", "http://127.0.0.1:9");
    assert_eq!(verdict(wired(&ground).await?.send(&mail()?, SOON).await), "retry");
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_mail_is_in_an_error_or_in_what_is_printed_of_it() -> Result<()> {
    let ground = ground().await?;
    let ses = wired(&ground).await?;
    let quote = Misbehaviour::Quote { status: 400 };
    ground.sandbox.faults().add(Route::service(Service::Mail), When::Always, quote)?;
    let error = ses.send(&mail()?, SOON).await.err().context("sent")?;
    let said = format!("{error} {error:?} {:?}", mail()?);
    for secret in ["canary", TO, "local", "Signature="] {
        assert!(!said.contains(secret), "{said}");
    }
    Ok(())
}

#[test]
fn nothing_but_one_address_and_one_line_makes_a_mail() {
    let made = |to: &str, subject: &str, text: &str| Mail::new(to, subject, text).err();
    for to in [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com\n",
        "ann@example.com,eve@example.com",
        "ann@example.com;eve@example.com",
        "Ann <ann@example.com>",
        "\"ann,eve\"@example.com",
        "ann@example.com (x)",
        "ann @example.com",
        "ann@eve@example.com",
        "änn@example.com",
        "ann@exämple.com",
        "ann@[127.0.0.1]",
        &format!("{}@example.com", "a".repeat(250)),
    ] {
        assert_eq!(made(to, "s", "t"), Some(NotAMail::Address), "{to:?}");
    }
    for subject in ["", "a\r\nBcc: eve@example.com", "a\nb", "a\rb", "a\u{0}b", "a\u{85}b", &"a".repeat(201)]
    {
        assert_eq!(made(TO, subject, "t"), Some(NotAMail::Subject), "{subject:?}");
    }
    for text in ["", "a\rb", "a\u{0}", &"a".repeat(64 * 1024 + 1)] {
        assert_eq!(made(TO, "s", text), Some(NotAMail::Text));
    }
    assert_eq!(made("o'neil+x@sub.example.com", "Grüße ✓", "a\n\tb"), None);
}

proptest! {
    /// Whatever is given, a mail that can be made has one recipient and no line end where a header would begin.
    #[test]
    fn no_mail_can_hold_a_header_of_somebody_elses(to in "\\PC{0,12}[\r\n,;<> @]{0,3}[a-z@.]{0,12}", subject in ".{0,9}[\r\n\u{0}]?.{0,9}") {
        if Mail::new(&to, "s", "t").is_ok() {
            prop_assert!(to.bytes().all(|byte| byte.is_ascii_graphic()) && to.matches('@').count() == 1);
            prop_assert!(!to.contains([',', ';', '<', '>']));
        }
        if Mail::new(TO, &subject, "t").is_ok() {
            prop_assert!(!subject.chars().any(char::is_control));
        }
    }
}

#[tokio::test]
async fn without_a_sender_there_is_no_mail_and_a_wrong_one_is_said_at_start() -> Result<()> {
    let mut config = Ground::new().await?.config();
    let upstream = Upstream::wire(&mut config);
    assert!(Ses::wire(&mut config, &upstream).is_none());
    for from in ["hello", "Satchel <hello>", "Satchel <hello@example.com", "a@b.example\r\nBcc: c@d.example"]
    {
        let mut config = ground().await?.with("MAIL_FROM", from).config();
        let upstream = Upstream::wire(&mut config);
        let _ = Ses::wire(&mut config, &upstream);
        assert!(problems(config).await?.contains("MAIL_FROM is neither"), "{from:?}");
    }
    for from in ["hello@example.com", "Satchel, Inc. <hello@example.com>"] {
        assert!(wired(&ground().await?.with("MAIL_FROM", from)).await.is_ok(), "{from}");
    }
    Ok(())
}
