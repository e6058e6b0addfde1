use shared::webhook::desk::Event;

use crate::words::{at, clean, columns};

/// A line for each event: received, provider, account, type, event id, object, state, attempts, error code, our id.
/// What is not there is a dash.
pub fn lines(events: &[Event]) -> String {
    let cells: Vec<_> = events.iter().map(cells).collect();
    columns(&cells)
}

fn cells(event: &Event) -> [String; 10] {
    [
        at(event.received_at),
        event.provider.clone(),
        clean(&event.account),
        clean(&event.kind),
        clean(&event.event_id),
        clean(event.object_id.as_deref().unwrap_or_default()),
        event.state.clone(),
        event.attempts.to_string(),
        clean(event.last_error_code.as_deref().unwrap_or_default()),
        event.id.to_string(),
    ]
}
