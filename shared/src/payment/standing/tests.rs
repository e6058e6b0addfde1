//! The same words in any order, and each any number of times, end in the same record.

use proptest::collection::vec;
use proptest::prelude::*;
use time::Duration;
use time::macros::datetime;

use super::*;

/// Few values of each, so that words often stand alike.
fn standing() -> impl Strategy<Value = Standing> {
    (0_i16..3, 0_i64..3, -1_i16..3).prop_map(|(finality, second, rank)| {
        Standing::new((finality, rank), datetime!(2026-01-09 12:00 UTC) + Duration::seconds(second))
    })
}

fn word() -> impl Strategy<Value = Heard<u8>> {
    (0_u8..3, standing()).prop_map(|(content, standing)| Heard::new(content, standing))
}

fn all(words: &[Heard<u8>]) -> Option<Heard<u8>> {
    words.iter().cloned().reduce(Heard::hear)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    #[test]
    fn of_two_words_the_order_does_not_count(one in word(), other in word()) {
        prop_assert_eq!(one.clone().hear(other.clone()), other.hear(one));
    }

    #[test]
    fn of_three_words_it_does_not_count_which_two_were_heard_together(one in word(), two in word(), three in word()) {
        let from_the_left = one.clone().hear(two.clone()).hear(three.clone());
        prop_assert_eq!(from_the_left, one.hear(two.hear(three)));
    }

    #[test]
    fn what_was_heard_before_changes_nothing(words in vec(word(), 1..8), again in any::<prop::sample::Index>()) {
        let heard = all(&words);
        let again = again.get(&words).clone();
        prop_assert_eq!(heard.clone().map(|heard| heard.hear(again)), heard);
    }

    #[test]
    fn many_words_end_alike_in_any_order(
        (words, shuffled) in vec(word(), 1..8).prop_flat_map(|words| (Just(words.clone()), Just(words).prop_shuffle())),
    ) {
        prop_assert_eq!(all(&words), all(&shuffled));
    }

    #[test]
    fn what_counts_is_the_word_that_stands_highest_and_it_is_disputed_only_with_its_equals(words in vec(word(), 1..8)) {
        let highest = words.iter().map(|word| word.standing).max();
        let equals: Vec<u8> =
            words.iter().filter(|word| Some(word.standing) == highest).map(|word| word.content).collect();
        let heard = all(&words).unwrap();
        prop_assert_eq!(Some(heard.standing), highest);
        prop_assert_eq!(Some(heard.content), equals.iter().max().copied());
        prop_assert_eq!(heard.disputed, equals.iter().any(|content| *content != equals[0]));
    }
}

#[test]
fn an_end_outdoes_what_is_later_and_the_later_what_is_further() {
    let at = |seconds, finality, rank| {
        Standing::new((finality, rank), datetime!(2026-01-09 12:00 UTC) + Duration::seconds(seconds))
    };
    assert!(at(0, 1, 0) > at(100, 0, 9));
    assert!(at(1, 0, 0) > at(0, 0, 9));
    assert!(at(0, 0, 1) > at(0, 0, 0));
}
