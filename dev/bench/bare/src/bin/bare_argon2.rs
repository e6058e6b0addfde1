//! Verifications of a password and nothing else, as `login` has them made: prints the nanoseconds of CPU and of time that
//! the median one took.

use anyhow::{Context, ensure};
use shared::crypto::Secret;
use shared::password::{self, Password, Verdict};
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let hash = Secret::new(arguments.next().context("the first argument is the hash")?);
    let text = arguments.next().context("the second argument is the password")?;
    let count: usize = arguments.next().context("the third argument is how often")?.parse()?;
    let password = Password::given(&Secret::new(text))?;
    let mut seen = Vec::new();
    for _ in 0..count.max(1) {
        let (begin, cpu) = (Instant::now(), cpu_ns()?);
        let verdict = password::verify(&password, Some(&hash)).await?;
        ensure!(verdict == Verdict::Right, "the password is not the hash's");
        seen.push((cpu_ns()? - cpu, begin.elapsed().as_nanos()));
    }
    seen.sort_unstable();
    let (cpu, elapsed) = seen[seen.len() / 2];
    println!("{cpu} {elapsed}");
    Ok(())
}

/// On a CPU so far, by every thread.
fn cpu_ns() -> anyhow::Result<u64> {
    let mut total = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        total += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(total)
}
