//! The same words about an object in any order, and each any number of times, end in the same record.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::*;

const SECOND: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);

/// Finality and rank of each status: no two have the same, but for those nobody knows.
const STATUSES: [(&str, (i16, i16)); 6] = [
    ("pending", (0, 1)),
    ("succeeded", (1, 0)),
    ("failed", (3, 0)),
    ("open", (0, 0)),
    ("of_tomorrow", (0, -1)),
    ("of_the_day_after", (0, -1)),
];
/// What it may be said to belong to: to itself, to its charge, to its intent.
const ROOTS: [&str; 3] = ["re_1", "ch_1", "pi_1"];

/// Few values of each, so that words often stand alike.
fn word() -> impl Strategy<Value = Snapshot> {
    let said = (0..STATUSES.len(), 0_i64..3, 0_i64..3, 0_i64..2, any::<bool>());
    let known = (0..ROOTS.len(), option::of(Just(Uuid::from_u128(7))), option::of(Just("usd")));
    (said, known).prop_map(
        |((status, second, amount, refunded, was_expired), (root, reference, currency))| {
            let (status, order) = STATUSES[status];
            Snapshot {
                kind: Kind::Refund,
                object_id: String::from("re_1"),
                root_id: ROOTS[root].to_owned(),
                reference,
                status: status.to_owned(),
                standing: Standing::new(order, SECOND + Duration::seconds(second)),
                amount_minor: amount,
                // Now and then named by nobody but us.
                asked_minor: (second % 3 != 0).then_some(amount),
                refunded_minor: refunded,
                currency: currency.map(str::to_owned),
                was_expired,
                movements: Vec::new(),
            }
        },
    )
}

fn all(words: &[Snapshot]) -> Option<Kept> {
    words.iter().fold(None, |before, word| Some(Kept::hear(before.as_ref(), word)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn of_two_words_the_order_does_not_count(one in word(), other in word()) {
        prop_assert_eq!(all(&[one.clone(), other.clone()]), all(&[other, one]));
    }

    #[test]
    fn many_words_end_alike_in_any_order(
        (words, shuffled) in vec(word(), 1..8).prop_flat_map(|words| (Just(words.clone()), Just(words).prop_shuffle())),
    ) {
        prop_assert_eq!(all(&words), all(&shuffled));
    }

    #[test]
    fn what_was_heard_before_changes_nothing(words in vec(word(), 1..8), again in any::<prop::sample::Index>()) {
        let heard = all(&words);
        prop_assert_eq!(Some(Kept::hear(heard.as_ref(), again.get(&words))), heard);
    }

    /// By the definition, without any order of hearing.
    #[test]
    fn what_counts_is_the_word_that_stands_highest_and_what_was_known_once_stays_known(words in vec(word(), 1..8)) {
        let kept = all(&words).unwrap();
        let highest = words.iter().map(|word| word.standing).max().unwrap();
        let equals: Vec<&Snapshot> = words.iter().filter(|word| word.standing == highest).collect();
        prop_assert_eq!(kept.standing, highest);
        prop_assert_eq!(kept.state.seen_at, highest.seen_at);
        prop_assert_eq!(&kept.state.status, equals.iter().map(|word| &word.status).max().unwrap());
        prop_assert_eq!(kept.state.amount_minor, equals.iter().map(|word| word.amount_minor).max().unwrap());
        prop_assert_eq!(kept.state.refunded_minor, equals.iter().map(|word| word.refunded_minor).max().unwrap());
        let amounts = |word: &Snapshot| (word.amount_minor, word.refunded_minor);
        prop_assert_eq!(kept.disputed, equals.iter().any(|word| amounts(word) != amounts(equals[0])));
        prop_assert_eq!(kept.state.was_expired, words.iter().any(|word| word.was_expired));
        prop_assert_eq!(kept.reference, words.iter().filter_map(|word| word.reference).max());
        prop_assert_eq!(kept.state.currency.is_some(), words.iter().any(|word| word.currency.is_some()));
        let asked: Option<Vec<i64>> = words.iter().map(|word| word.asked_minor).collect();
        prop_assert_eq!(kept.asked_minor, asked.and_then(|asked| asked.into_iter().max()));
        let nearest = words.iter().map(|word| ROOTS.iter().position(|root| *root == word.root_id)).max().flatten();
        prop_assert_eq!(Some(kept.state.root_id.as_str()), nearest.map(|place| ROOTS[place]));
    }
}

#[test]
fn whose_it_is_stays_whatever_is_heard() {
    let word = |status: usize, second| Snapshot {
        kind: Kind::Refund,
        object_id: String::from("re_1"),
        root_id: String::from("pi_1"),
        reference: None,
        status: STATUSES[status].0.to_owned(),
        standing: Standing::new(STATUSES[status].1, SECOND + Duration::seconds(second)),
        amount_minor: 400,
        asked_minor: Some(400),
        refunded_minor: 0,
        currency: None,
        was_expired: false,
        movements: Vec::new(),
    };
    let whose = Some(Uuid::from_u128(7));
    let claimed = Kept { payment_id: whose, ..Kept::hear(None, &word(1, 5)) };
    for (status, second) in [(0, 0), (0, 9), (1, 5), (2, 0), (2, 9)] {
        assert_eq!(Kept::hear(Some(&claimed), &word(status, second)).payment_id, whose);
    }
}

#[test]
fn an_intent_is_nearer_than_a_charge_and_either_than_the_object_itself() {
    assert_eq!(nearer_root("re_1", "re_1", "ch_1"), "ch_1");
    assert_eq!(nearer_root("re_1", "ch_1", "pi_1"), "pi_1");
    assert_eq!(nearer_root("re_1", "pi_1", "re_1"), "pi_1");
    // An invoice knows its subscription first.
    assert_eq!(nearer_root("in_1", "sub_1", "pi_1"), "pi_1");
}
