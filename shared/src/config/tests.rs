//! Every problem at once, and no value in any of them.

use super::*;

const CANARY: &str = "hunter2-canary";

fn config(variables: &[(&str, &str)]) -> Config {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::new(environment.collect(), Clock::system(), Random::from_fn(|buffer| buffer.fill(7)))
}

/// What `finish` says; nothing when it is content.
async fn said(config: Config) -> String {
    config.finish().await.err().map(|error| format!("{error} {error:?}")).unwrap_or_default()
}

#[tokio::test]
async fn every_problem_is_named_at_once_and_no_value_is() {
    let mut config = config(&[("NUMBER", CANARY), ("FLAG", CANARY), ("CHOICE", CANARY), ("EMPTY", "")]);

    config.text("ABSENT");
    config.text("EMPTY");
    config.number("NUMBER", 5, 1..=10);
    config.flag("FLAG");
    config.choice("CHOICE", &["refuse", "discard"]);
    config.problem("ISSUER_URL is not an https URL");

    let error = config.finish().await.unwrap_err();
    let expected = "the configuration has 6 problem(s): ABSENT is missing; EMPTY is missing; NUMBER is not a \
                    number from 1 to 10; FLAG is neither true nor false; CHOICE is none of refuse, discard; \
                    ISSUER_URL is not an https URL";
    assert_eq!(error.to_string(), expected);
    assert!(!format!("{error:?}").contains(CANARY));
}

#[tokio::test]
async fn a_good_environment_has_no_problem() {
    let mut config = config(&[("TEXT", "here"), ("NUMBER", "7"), ("FLAG", "true"), ("CHOICE", "discard")]);
    assert_eq!(config.text("TEXT"), "here");
    assert_eq!(config.number("NUMBER", 5, 1..=10), 7);
    assert_eq!(config.seconds("NUMBER", 5, 1..=10), Duration::from_secs(7));
    assert!(config.flag("FLAG"));
    assert_eq!(config.choice("CHOICE", &["refuse", "discard"]), "discard");
    assert_eq!(said(config).await, "");
}

#[tokio::test]
async fn absent_and_empty_mean_the_default() {
    for variables in [&[][..], &[("X", "")]] {
        let mut config = config(variables);
        assert_eq!(config.optional("X"), None);
        assert_eq!(config.number("X", 5, 1..=10), 5);
        assert_eq!(config.seconds("X", 5, 1..=10), Duration::from_secs(5));
        assert!(!config.flag("X"));
        assert_eq!(config.choice("X", &["refuse", "discard"]), "refuse");
        assert_eq!(said(config).await, "");
    }
}

#[tokio::test]
async fn a_number_is_whole_and_in_its_range() {
    for (text, good) in [
        ("1", true),
        ("10", true),
        ("0", false),
        ("11", false),
        ("-1", false),
        ("5.0", false),
        (" 5", false),
        ("5s", false),
        ("0x5", false),
        ("4294967297", false),
        ("99999999999999999999999", false),
    ] {
        let mut config = config(&[("N", text)]);
        let number = config.number("N", 3, 1..=10);
        assert_eq!(said(config).await.is_empty(), good, "{text}");
        assert_eq!(number, if good { text.parse().unwrap() } else { 3 });
    }
}

#[tokio::test]
async fn a_flag_is_true_or_false_in_just_these_letters() {
    for (text, value, good) in [
        ("true", true, true),
        ("false", false, true),
        ("TRUE", false, false),
        ("1", false, false),
        ("yes", false, false),
        ("true ", false, false),
    ] {
        let mut config = config(&[("F", text)]);
        assert_eq!(config.flag("F"), value, "{text}");
        assert_eq!(said(config).await.is_empty(), good, "{text}");
    }
}

#[tokio::test]
async fn a_choice_is_one_of_the_list_to_the_letter() {
    for text in ["Refuse", "refus", "refuse,discard", " refuse"] {
        let mut config = config(&[("C", text)]);
        assert_eq!(config.choice("C", &["refuse", "discard"]), "refuse");
        let said = said(config).await;
        assert!(said.contains("C is none of refuse, discard"), "{text}: {said}");
    }
}

#[tokio::test]
async fn a_variable_without_its_secret_or_its_manager_is_named_once() {
    let mut config = config(&[("AWS_REGION", "us-east-1")]);
    config.secret::<Document, Parsed>("FIRST_SECRET");
    config.secret::<Document, Parsed>("SECOND_SECRET");
    assert!(config.optional_secret::<Document, Parsed>("THIRD_SECRET").is_none());

    let said = config.finish().await.unwrap_err().to_string();

    let expected = "the configuration has 4 problem(s): FIRST_SECRET is missing; AWS_ACCESS_KEY_ID is missing; \
                    AWS_SECRET_ACCESS_KEY is missing; SECOND_SECRET is missing";
    assert_eq!(said, expected);
}

#[derive(serde::Deserialize)]
struct Document {}

struct Parsed;

impl TryFrom<Document> for Parsed {
    type Error = &'static str;

    fn try_from(_: Document) -> Result<Self, Self::Error> {
        Ok(Self)
    }
}
