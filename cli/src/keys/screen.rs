use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const REDRAWN_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How things stand, on standard error: one line drawn over and over on a terminal, one line now and then anywhere
/// else.
pub struct Screen {
    terminal: bool,
    shown: Option<Instant>,
}

impl Screen {
    pub fn new() -> Self {
        Self { terminal: stderr().is_terminal(), shown: None }
    }

    /// Shows the text if it is time for another.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let pause = if self.terminal { REDRAWN_EVERY } else { LINE_EVERY };
        if self.shown.is_none_or(|shown| shown.elapsed() >= pause) {
            self.shown = Some(Instant::now());
            // Whoever closed standard error does not care how things stand.
            let _ = if self.terminal {
                write!(stderr(), "\r\x1b[2K{}", text())
            } else {
                writeln!(stderr(), "{}", text())
            };
        }
    }

    /// Something else begins: what comes next is shown at once.
    pub fn next(&mut self) {
        if self.terminal && self.shown.is_some() {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
        self.shown = None;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.next();
    }
}
