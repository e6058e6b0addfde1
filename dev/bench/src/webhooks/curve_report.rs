//! The tables of the curve: what an event costs by the size of the inbox, and what is looked up beside it.

use super::curve::{Cost, Point};
use super::queue::QUESTIONS;
use super::report::Report;
use crate::figures::percentile;
use crate::machine::ratio;
use anyhow::Result;
use std::fmt::Write as _;

/// Of costs that ought to be the same at every size.
const MAX_DIFFERENCE: f64 = 1.25;
/// What runs beside requests and jobs; the rest is looked up by hand.
const ALWAYS_ASKED: usize = 2;

impl Report {
    pub(super) fn by_size(&mut self, text: &mut String) -> Result<()> {
        if self.points.is_empty() {
            return Ok(());
        }
        self.events(text)?;
        self.statements(text)?;
        self.sizes(text)?;
        self.questions(text)?;
        for (question, lines) in &self.plans {
            writeln!(text, "\n```text\n-- {question}\n{}\n```", lines.join("\n"))?;
        }
        Ok(())
    }

    fn events(&mut self, text: &mut String) -> Result<()> {
        text.push_str("\n| a new event, with so many in the inbox | p50 ms | p99 ms | CPU us: function | Postgres | bytes a row, indexes too |\n|---:|---:|---:|---:|---:|---:|\n");
        for point in &self.points {
            let ([p50, p99, function, postgres], bytes) = (point.middles(), point.bytes_a_row());
            writeln!(
                text,
                "| {} | {p50:.2} | {p99:.2} | {function:.0} | {postgres:.0} | {bytes:.0} |",
                point.rows
            )?;
        }
        let all: Vec<[f64; 4]> = self.points.iter().map(Point::middles).collect();
        let names = ["latency, p50", "", "CPU of the function", "CPU of Postgres"];
        let (least, most) =
            (self.points.first().map_or(0, |p| p.rows), self.points.last().map_or(0, |p| p.rows));
        for (at, name) in names.into_iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let first = all.first().map_or(f64::NAN, |first| first[at]);
            let worst = all.iter().map(|one| one[at] / first).fold(f64::NAN, f64::max);
            self.judge(
                &format!("a new event, {name}: the most from {least} to {most} rows, of that with {least}"),
                format!("<= {MAX_DIFFERENCE}"),
                format!("{worst:.2}"),
                worst <= MAX_DIFFERENCE,
            );
        }
        Ok(())
    }

    fn statements(&self, text: &mut String) -> Result<()> {
        text.push_str("\nEach statement alone, by `EXPLAIN (ANALYZE, BUFFERS)`: planned in and run in so many microseconds, and how many pages it looked at.\n\n| statement |");
        self.header(text)?;
        let costs: Vec<Vec<Cost>> = self.points.iter().map(Point::statements).collect();
        for (at, cost) in costs.first().map(Vec::as_slice).unwrap_or_default().iter().enumerate() {
            write!(text, "| `{}` |", cost.name)?;
            for cost in costs.iter().filter_map(|costs| costs.get(at)) {
                let Cost { planning_ms, execution_ms, pages, read, .. } = cost;
                let from_disk =
                    if *read > 0.0 { format!(", {read:.0} of them not in memory") } else { String::new() };
                write!(
                    text,
                    " {:.0} + {:.0}, {pages:.0} pages{from_disk} |",
                    planning_ms * 1e3,
                    execution_ms * 1e3
                )?;
            }
            text.push('\n');
        }
        Ok(())
    }

    fn header(&self, text: &mut String) -> Result<()> {
        for point in &self.points {
            write!(text, " {} rows |", point.rows)?;
        }
        writeln!(text, "\n|---|{}", "---:|".repeat(self.points.len()))?;
        Ok(())
    }

    fn sizes(&self, text: &mut String) -> Result<()> {
        text.push_str("\n| MB |");
        self.header(text)?;
        for (at, (name, _)) in
            self.points.first().map(|point| point.sizes.as_slice()).unwrap_or_default().iter().enumerate()
        {
            write!(text, "| `{name}` |")?;
            for point in &self.points {
                write!(text, " {:.1} |", ratio(point.sizes.get(at).map_or(0, |size| size.1), 1_000_000))?;
            }
            text.push('\n');
        }
        write!(text, "| filled in, s |")?;
        for point in &self.points {
            write!(text, " {:.0} |", point.filled_in.as_secs_f64())?;
        }
        text.push('\n');
        Ok(())
    }

    fn questions(&mut self, text: &mut String) -> Result<()> {
        text.push_str("\n| ms, median (p90) |");
        self.header(text)?;
        let mut verdicts = Vec::new();
        for (at, question) in QUESTIONS.iter().enumerate() {
            write!(text, "| {question} |")?;
            for asked in &self.asked {
                write!(text, " {} |", crate::figures::spread(&asked[at]))?;
            }
            text.push('\n');
            let middle = |asked: Option<&super::queue::Asked>| {
                asked.map_or(f64::NAN, |asked| percentile(&asked[at], 50))
            };
            let times = middle(self.asked.last()) / middle(self.asked.first());
            if at < ALWAYS_ASKED {
                verdicts
                    .push((format!("{question}: time with the most rows, of that with the fewest"), times));
            }
        }
        for (name, times) in verdicts {
            self.judge(&name, format!("<= {MAX_DIFFERENCE}"), format!("{times:.2}"), times <= MAX_DIFFERENCE);
        }
        Ok(())
    }
}
