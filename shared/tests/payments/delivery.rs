//! How events arrive: in another order, more than once, under another id, or not at all.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// More than any history here has events.
const EVENTS: usize = 64;

#[derive(Clone, Debug)]
pub struct Delivered {
    /// For each event: its place among all, and what becomes of it.
    lots: Vec<(u16, Lot)>,
    /// Our own row is written after so many have arrived.
    pub row_after: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lot {
    Dropped,
    Once,
    Twice,
    /// Under its own id and under another.
    UnderTwoIds,
}

pub fn delivered() -> impl Strategy<Value = Delivered> {
    use prop::sample::select;
    let lots = select(&[Lot::Dropped, Lot::Once, Lot::Once, Lot::Twice, Lot::UnderTwoIds][..]);
    let row_after = prop_oneof![3 => Just(0_usize), 1 => 0_usize..20];
    (vec((any::<u16>(), lots), EVENTS), row_after).prop_map(|(lots, row_after)| Delivered { lots, row_after })
}

impl Delivered {
    /// What arrives, in that order; and then what never did, as it is found in the provider's own list.
    pub fn of(&self, events: &[Value]) -> Vec<Value> {
        assert!(events.len() <= EVENTS, "{} events", events.len());
        let mut arriving = Vec::new();
        let mut found = Vec::new();
        for (event, (place, lot)) in events.iter().zip(&self.lots) {
            let copies = match lot {
                Lot::Dropped => {
                    found.push((*place, event.clone()));
                    continue;
                }
                Lot::Once => vec![event.clone()],
                Lot::Twice => vec![event.clone(), event.clone()],
                Lot::UnderTwoIds => vec![event.clone(), again(event)],
            };
            let places = [*place, place.wrapping_mul(40_503).wrapping_add(1)];
            arriving.extend(places.into_iter().zip(copies));
        }
        arriving.sort_by_key(|(place, _)| *place);
        found.sort_by_key(|(place, _)| *place);
        arriving.into_iter().chain(found).map(|(_, event)| event).collect()
    }
}

/// The very same fact under an id of its own.
fn again(event: &Value) -> Value {
    let mut again = event.clone();
    again["id"] = json!(event["id"].as_str().unwrap_or_default().replace("evt_", "evt_again_"));
    again
}
