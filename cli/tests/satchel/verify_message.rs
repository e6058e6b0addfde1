use testing::Result;

use crate::tool::{Ran, Tool};

/// Message, signature and key as Core Lightning and LDK publish them in their own tests.
const PUBLISHED: [(&str, &str, &str); 6] = [
    (
        "is this compatible?",
        "rbgfioj114mh48d8egqx8o9qxqw4fmhe8jbeeabdioxnjk8z3t1ma1hu1fiswpakgucwwzwo6ofycffbsqusqdimugbh41n1g698hr9t",
        "02b80cabdf82638aac86948e4c06e82064f547768dcef977677b9ea931ea75bab5",
    ),
    (
        "hi",
        "rnrphcjswusbacjnmmmrynh9pqip7sy5cx695h6mfu64iac6qmcmsd8xnsyczwmpqp9shqkth3h4jmkgyqu5z47jfn1q7gpxtaqpx4xg",
        "02de60d194e1ca5947b59fe8e2efd6aadeabfb67f2e89e13ae1a799c1e08e4a43b",
    ),
    (
        "hi",
        "ry8bbsopmduhxy3dr5d9ekfeabdpimfx95kagdem7914wtca79jwamtbw4rxh69hg7n6x9ty8cqk33knbxaqftgxsfsaeprxkn1k48p3",
        "022b8ece90ee891cbcdac0c1cc6af46b73c47212d8defbce80265ac81a6b794931",
    ),
    (
        "this is a test!",
        "d63t8j9xmusnx6f6j3tauwoewi1g3a94t9xrastmou8i5rzn3gm9nuahkx6zfnm9ry145w4j88ctteim4mtxc7qreyity55zq63sj6n5",
        "033845802d25b4e074ccfd7cd8b339a41dc75bf9978a034800444b51d42b07799a",
    ),
    (
        "message for you",
        "rnu3qotbr47u7uzgodtq51fraszhp47xfen4yxbzhsisrekqwzshysu7sq4f74g5jobnh35fsh1a3ysoa7who6cqbti47qkxp6w1qwan",
        "033845802d25b4e074ccfd7cd8b339a41dc75bf9978a034800444b51d42b07799a",
    ),
    (
        "test message",
        "d9tibmnic9t5y41hg7hkakdcra94akas9ku3rmmj4ag9mritc8ok4p5qzefs78c9pqfhpuftqqzhydbdwfg7u6w6wdxcqpqn4sj4e73e",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
];
/// What the first signature recovers to over the first message with "modified" after it.
const OF_MODIFIED: &str = "032d04a6d6d84edd62aa8696f0c3a271a48ba680545a84e3c012caa360e5c0be3f";

async fn verify(message: &str, signature: &str, more: &[&str]) -> Result<Ran> {
    let arguments = ["verify-message", "--message", message, "--signature", signature];
    Tool::default().run(&[&arguments, more].concat()).await
}

#[tokio::test]
async fn published_signatures_print_their_key() -> Result<()> {
    for (message, signature, pubkey) in PUBLISHED {
        assert_eq!(verify(message, signature, &[]).await?.ok(), format!("{pubkey}\n"));
        assert_eq!(
            verify(message, signature, &["--pubkey", pubkey]).await?.ok(),
            format!("{pubkey}\nmatch\n")
        );
    }
    Ok(())
}

#[tokio::test]
async fn another_message_prints_another_key_and_does_not_match() -> Result<()> {
    let (message, signature, pubkey) = PUBLISHED[0];
    let modified = format!("{message}modified");
    assert_eq!(verify(&modified, signature, &[]).await?.ok(), format!("{OF_MODIFIED}\n"));
    let said = verify(&modified, signature, &["--pubkey", pubkey]).await?.refused();
    assert!(said.contains("mismatch") && said.contains(OF_MODIFIED), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_message_may_come_from_standard_input_to_the_letter() -> Result<()> {
    let (message, signature, pubkey) = PUBLISHED[0];
    let arguments = ["verify-message", "--message", "-", "--signature", signature];
    let tool = Tool::default();
    assert_eq!(tool.run_on(&arguments, message.as_bytes()).await?.ok(), format!("{pubkey}\n"));
    let with_a_line_end = tool.run_on(&arguments, format!("{message}\n").as_bytes()).await?;
    assert_ne!(with_a_line_end.stdout, format!("{pubkey}\n"), "a line end is part of the message");
    Ok(())
}

#[tokio::test]
async fn a_malformed_signature_says_why() -> Result<()> {
    let (message, good, _) = PUBLISHED[0];
    let long = format!("{good}y");
    let foreign = good.replacen('r', "l", 1);
    // The header's 5 high bits are the first character: `y` makes a header below 8.
    let header = good.replacen('r', "y", 1);
    for (signature, why) in [
        ("", "104 characters"),
        (&good[1..], "104 characters"),
        (&long, "104 characters"),
        (&good.to_uppercase(), "lower case"),
        (&foreign, "zbase32"),
        (&header, "first byte is not 31, 32, 33 or 34"),
        (&"y".repeat(104), "first byte"),
    ] {
        let said = verify(message, signature, &[]).await?.refused();
        assert!(said.contains(why), "{signature}: {said}");
    }
    let said = verify(message, good, &["--pubkey", "02"]).await?.refused();
    assert!(said.contains("--pubkey") && said.contains("66 lower-case hex digits"), "{said}");
    Ok(())
}
