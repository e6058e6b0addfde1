//! What Linux says about processes and about the machine.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// Nanoseconds on a CPU so far, by every thread a process has now.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let mut total = 0;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).context("this benchmark needs Linux' /proc")?;
    for thread in threads {
        // A thread that has just ended is not there to be read.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        total += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(total)
}

/// The same of a process and all its children, such as the postmaster and its backends.
pub fn family_cpu_ns(parent: u32) -> Result<u64> {
    let mut total = cpu_ns(parent)?;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if parent_of(pid) == Some(parent) {
            total += cpu_ns(pid).unwrap_or_default();
        }
    }
    Ok(total)
}

/// What a process and its children used, those included that have ended.
pub fn family_with_ended_ns(parent: u32) -> Result<u64> {
    Ok(family_cpu_ns(parent)? + ended_children_ns(parent)?)
}

/// What the children of a process used that have ended, to a hundredth of a second.
pub fn ended_children_ns(parent: u32) -> Result<u64> {
    const NS_PER_TICK: u64 = 10_000_000;
    let stat = fs::read_to_string(format!("/proc/{parent}/stat"))?;
    let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(13).take(2);
    Ok(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * NS_PER_TICK)
}

/// The number of the calling thread.
pub fn this_thread() -> Result<u32> {
    let link = fs::read_link("/proc/thread-self").context("this benchmark needs Linux' /proc")?;
    Ok(link.file_name().and_then(|name| name.to_str()).unwrap_or_default().parse()?)
}

/// Nanoseconds on a CPU so far, of one thread of this process.
pub fn thread_cpu_ns(thread: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces; what follows its bracket does not.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// The most memory a process had at once, in bytes.
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// How busy the machine is with what is not ours, while we do nothing: 0 to 1.
pub async fn busy_with_others() -> Result<f64> {
    let (busy, total) = cpu_times()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (busy_after, total_after) = cpu_times()?;
    Ok(ratio(busy_after - busy, (total_after - total).max(1)))
}

fn cpu_times() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let times: Vec<u64> =
        line.split_whitespace().skip(1).take(8).map(|time| time.parse().unwrap_or_default()).collect();
    let total = times.iter().sum();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    Ok((total - idle, total))
}

pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What was measured on, in words.
pub fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = cores();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    let gib = ratio(kib, 1024 * 1024);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores of {model}, {gib:.0} GiB, Linux {}", kernel.trim())
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds and bytes of a benchmark stay far below 2^52")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
