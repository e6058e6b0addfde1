//! Signatures that are not Stripe's, and those that are and came at another time.

use data_encoding::{BASE64, HEXLOWER};
use sandbox::{STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET};
use serde_json::Value;
use testing::{Call, Result, World};

use super::{
    CONNECT, PLATFORM, header, hmac, mac, nothing_was_recorded, paid, received, refused, rows, send, wire,
    with_header,
};

const SECRET: &str = STRIPE_PLATFORM_SECRET;
/// The world's clock, which stands.
const NOW: i64 = 1_767_960_000;

fn body() -> String {
    format!("{:#}", paid("1"))
}

fn to_platform(header: &str) -> Call {
    with_header(PLATFORM, body(), header)
}

async fn none_is_taken(forgeries: &[(&str, Call)]) -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    for (what, call) in forgeries {
        let answer = send(&deps, call).await?;
        assert_eq!(answer.refusal()?, (400, "WEBHOOK_REJECTED"), "{what}");
        let good = mac(SECRET, NOW, body().as_bytes());
        assert!(!answer.reply.body.contains(&good), "the right one is told: {what}");
    }
    nothing_was_recorded(&world).await?;
    // It was for their signatures.
    received(&deps, &to_platform(&header(SECRET, NOW, body().as_bytes()))).await
}

#[tokio::test]
async fn nothing_is_taken_that_another_key_signed_or_in_another_way() -> Result<()> {
    let body = body();
    let by = |secret: &str| to_platform(&header(secret, NOW, body.as_bytes()));
    let v1 = |hex: &str| to_platform(&format!("t={NOW},v1={hex}"));
    let good = mac(SECRET, NOW, body.as_bytes());
    let of = |text: &str| v1(&hmac(SECRET, text.as_bytes()));
    let (bare, text) = (SECRET.trim_start_matches("whsec_"), body.as_str());
    none_is_taken(&[
        ("another secret", by("whsec_somebody_elses_secret")),
        ("the connect secret at the platform's address", by(STRIPE_CONNECT_SECRET)),
        (
            "the platform's secret at the connect address",
            with_header(CONNECT, text, &header(SECRET, NOW, text.as_bytes())),
        ),
        ("no key", by("")),
        ("a blank for a key", by(" ")),
        ("the key without its beginning", by(bare)),
        ("the key in capitals", by(&SECRET.to_uppercase())),
        ("the key and a line's end", by(&format!("{SECRET}\n"))),
        ("the key shortened by one", by(&SECRET[..SECRET.len() - 1])),
        ("the key hashed", by(&hmac(SECRET, b""))),
        (
            "a hash without a key",
            v1(&HEXLOWER.encode(&shared::crypto::sha256(format!("{NOW}.{text}").as_bytes()))),
        ),
        ("the body without the time", of(text)),
        ("the time without the body", of(&format!("{NOW}"))),
        ("the time, a dot and no body", of(&format!("{NOW}."))),
        ("the body before the time", of(&format!("{text}.{NOW}"))),
        ("no dot between", of(&format!("{NOW}{text}"))),
        ("the time in milliseconds", of(&format!("{NOW}000.{text}"))),
        ("the body written without blanks", of(&format!("{NOW}.{}", paid("1")))),
        ("another event", v1(&mac(SECRET, NOW, format!("{:#}", paid("2")).as_bytes()))),
        ("the same event at another time", v1(&mac(SECRET, NOW - 1, text.as_bytes()))),
        ("only v0", to_platform(&format!("t={NOW},v0={good}"))),
        ("only v2", to_platform(&format!("t={NOW},v2={good}"))),
        ("only v10", to_platform(&format!("t={NOW},v10={good}"))),
        ("a scheme in capitals", to_platform(&format!("t={NOW},V1={good}"))),
        (
            "the good one as v0 and a wrong one as v1",
            to_platform(&format!("t={NOW},v0={good},v1={}", "0".repeat(64))),
        ),
        ("BTCPay's form", to_platform(&format!("sha256={good}"))),
        ("zeros", v1(&"0".repeat(64))),
        ("upper case", v1(&good.to_uppercase())),
        ("one digit less", v1(&good[..63])),
        ("two digits less", v1(&good[..62])),
        ("half of it", v1(&good[..32])),
        ("two digits more", v1(&format!("{good}00"))),
        ("a digit that is none", v1(&format!("g{}", &good[1..]))),
        ("digits of another alphabet", v1(&good.replace('1', "１"))),
        ("base64", v1(&BASE64.encode(&HEXLOWER.decode(good.as_bytes())?))),
        ("0x before it", v1(&format!("0x{good}"))),
        ("a blank before it", v1(&format!(" {good}"))),
        ("a blank behind it", v1(&format!("{good} "))),
        ("quotes around it", v1(&format!("\"{good}\""))),
        ("nothing", v1("")),
    ])
    .await
}

#[tokio::test]
async fn nothing_is_taken_whose_header_is_not_one() -> Result<()> {
    let body = body();
    let good = mac(SECRET, NOW, body.as_bytes());
    let right = header(SECRET, NOW, body.as_bytes());
    // Signed, with the time as it is written.
    let at = |time: &str| {
        to_platform(&format!("t={time},v1={}", hmac(SECRET, format!("{time}.{body}").as_bytes())))
    };
    let unsigned = || Call::new(PLATFORM).body(body.clone());
    none_is_taken(&[
        ("no header", unsigned()),
        ("an empty header", to_platform("")),
        ("a header of blanks", to_platform("   ")),
        ("commas", to_platform(",,,")),
        ("words", to_platform("signed, believe me")),
        ("a header of another name", unsigned().header("x-stripe-signature", &right)),
        ("BTCPay's header", unsigned().header("btcpay-sig", &right)),
        ("two headers, both good", to_platform(&right).header("stripe-signature", &right)),
        (
            "two headers, a good one and a wrong one",
            to_platform(&right).header("stripe-signature", "t=1,v1=00"),
        ),
        ("two headers that the gateway joined", to_platform(&format!("{right},{right}"))),
        ("blanks between the parts", to_platform(&right.replace(',', ", "))),
        ("semicolons between the parts", to_platform(&right.replace(',', ";"))),
        ("no time", to_platform(&format!("v1={good}"))),
        ("no signature", to_platform(&format!("t={NOW}"))),
        ("two times, one of them good", to_platform(&format!("t={NOW},t={},v1={good}", NOW - 1))),
        ("the same time twice", to_platform(&format!("t={NOW},{right}"))),
        ("a time in capitals", to_platform(&right.replace("t=", "T="))),
        ("an empty time", at("")),
        ("a negative time", at(&format!("-{NOW}"))),
        ("a time with a plus", at(&format!("+{NOW}"))),
        ("a blank before the time", at(&format!(" {NOW}"))),
        ("a blank behind the time", at(&format!("{NOW} "))),
        ("a time with a fraction", at(&format!("{NOW}.0"))),
        ("a time in hex", at(&format!("0x{NOW:x}"))),
        ("a date", at("2026-01-09T12:00:00Z")),
        ("a time no integer holds", at("99999999999999999999999999")),
        ("the longest time an integer holds", at(&i64::MAX.to_string())),
        ("a time before there were any", at("0")),
        ("a header of ten thousand characters", to_platform(&format!("{right},v0={}", "0".repeat(10_000)))),
        ("a hundred thousand wrong ones", to_platform(&format!("t={NOW}{}", ",v1=00".repeat(100_000)))),
        ("nine wrong ones", to_platform(&format!("t={NOW}{}", format!(",v1={}", "0".repeat(64)).repeat(9)))),
    ])
    .await
}

#[tokio::test]
async fn nothing_is_taken_whose_body_is_another() -> Result<()> {
    let body = body();
    let right = header(SECRET, NOW, body.as_bytes());
    let read: Value = serde_json::from_str(&body)?;
    let arriving = |body: String| with_header(PLATFORM, body, &right);
    none_is_taken(&[
        ("parsed and written again", arriving(read.to_string())),
        ("no body", arriving(String::new())),
        ("a byte order mark before it", arriving(format!("\u{feff}{body}"))),
        ("a line's end behind it", arriving(format!("{body}\n"))),
        ("a blank before it", arriving(format!(" {body}"))),
        ("the line ends of Windows", arriving(body.replace('\n', "\r\n"))),
        ("cut off by one", arriving(body[..body.len() - 1].to_owned())),
        ("sent twice over", arriving(format!("{body}{body}"))),
        ("another amount", arriving(body.replace("2500", "9500"))),
        ("in base64", arriving(BASE64.encode(body.as_bytes()))),
        ("a zero byte behind it", arriving(format!("{body}\0"))),
        ("its characters written in escapes", arriving(body.replace('@', "\\u0040"))),
    ])
    .await
}

#[tokio::test]
async fn every_single_byte_of_the_body_and_every_digit_of_the_signature_counts() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let body = body();
    let right = header(SECRET, NOW, body.as_bytes());
    for at in 0..body.len() {
        let mut bytes = body.clone().into_bytes();
        bytes[at] ^= 1;
        refused(&deps, &with_header(PLATFORM, bytes, &right), &format!("byte {at}")).await?;
    }
    for at in 0..right.len() {
        let other = if &right[at..=at] == "0" { "1" } else { "0" };
        let changed = format!("{}{other}{}", &right[..at], &right[at + 1..]);
        refused(&deps, &to_platform(&changed), &changed).await?;
    }
    nothing_was_recorded(&world).await
}

#[tokio::test]
async fn five_minutes_either_way_and_not_a_second_more() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let signed_at = |at: i64, name: &str| {
        let body = paid(name).to_string();
        with_header(PLATFORM, body.clone(), &header(SECRET, at, body.as_bytes()))
    };
    for stale in [-86_400, -301, 301, 86_400] {
        refused(&deps, &signed_at(NOW + stale, "stale"), &format!("{stale} s")).await?;
    }
    nothing_was_recorded(&world).await?;
    for (nth, good) in [-300, -299, 0, 299, 300].into_iter().enumerate() {
        received(&deps, &signed_at(NOW + good, &nth.to_string())).await?;
    }
    assert_eq!(rows(&world, "webhook_events").await?, 5);
    Ok(())
}

#[tokio::test]
async fn one_good_signature_among_several_is_enough() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let of = |name: &str, header: &dyn Fn(&str) -> String| {
        let body = paid(name).to_string();
        let good = mac(SECRET, NOW, body.as_bytes());
        with_header(PLATFORM, body, &header(&good))
    };
    let wrong = "0".repeat(64);
    let calls = [
        of("first", &|good| format!("t={NOW},v1={good},v1={wrong}")),
        of("last", &|good| format!("t={NOW},v1={wrong},v1={good}")),
        of("eighth", &|good| format!("t={NOW}{},v1={good}", format!(",v1={wrong}").repeat(7))),
        of("among_nonsense", &|good| format!("t={NOW},v1=,v1=00,v1={},v1={good}", good.to_uppercase())),
        of("among_schemes", &|good| format!("v0={wrong},v2=,x,v1={good},t={NOW},v0={wrong}")),
    ];
    for call in &calls {
        received(&deps, call).await?;
    }
    assert_eq!(rows(&world, "webhook_events").await?, 5);
    Ok(())
}
