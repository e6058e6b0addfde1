//! Against real clusters. The ones that need a second process run this test program again, with a part to play.

use super::{Durability, Mode, Server, StartOptions};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PART: &str = "SATCHEL_POSTGRES_TEST_PART";

fn options(data_root: PathBuf) -> StartOptions {
    StartOptions { data_root, ..StartOptions::for_tests("unused") }
}

/// A directory that the server's user can reach, wherever this checkout is.
fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

fn sql(url: &str, statements: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(statements).await?;
        drop(client);
        let _ = connection.await;
        let rows = messages.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(rows.collect())
    })
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        sleep(Duration::from_millis(20));
    }
}

fn refuses_connections(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

/// This program again, running one test, as root's `nobody` when asked.
fn play(part: &str, test: &str, data_root: &Path, as_nobody: bool) -> Child {
    let program = env::current_exe().unwrap();
    let reachable = data_root.parent().unwrap().join("program");
    fs::copy(program, &reachable).unwrap();
    let mut command = Command::new(if as_nobody { "setpriv" } else { "env" });
    if as_nobody {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(reachable).args(["--exact", "--nocapture"]);
    command.arg(format!("postgres::tests::{test}")).env(PART, part).env("ROOT", data_root);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_cluster_works_with_a_password_survives_every_restart_and_is_gone_after_its_stop() {
    let parent = open_directory();
    let server = Server::start(options(parent.path().join("one"))).unwrap();
    let url = server.admin_url();
    sql(&url, "CREATE DATABASE made").unwrap();
    let made = url.strip_suffix("postgres").unwrap().to_owned() + "made";
    sql(&made, "CREATE TABLE kept (n int)").unwrap();
    for (n, mode) in [Mode::Fast, Mode::Immediate, Mode::Kill].into_iter().enumerate() {
        sql(&made, &format!("INSERT INTO kept VALUES ({n})")).unwrap();
        server.restart(mode).unwrap();
        assert_eq!(sql(&made, "SELECT count(*) FROM kept").unwrap(), [(n + 1).to_string()], "after {mode:?}");
    }
    assert_eq!(sql(&url, "SHOW fsync").unwrap(), ["off"]);
    assert_eq!(sql(&url, "SHOW server_encoding").unwrap(), ["UTF8"]);
    let wrong_password = format!("postgres://postgres:wrong@127.0.0.1:{}/postgres", server.port());
    assert!(sql(&wrong_password, "SELECT 1").is_err());
    let port = server.port();
    server.stop().unwrap();
    assert!(refuses_connections(port));
    assert!(!parent.path().join("one").exists());
}

#[test]
fn a_durable_cluster_writes_through() {
    let parent = open_directory();
    let durable = StartOptions { durability: Durability::Real, ..options(parent.path().join("durable")) };
    let server = Server::start(durable).unwrap();
    assert_eq!(sql(&server.admin_url(), "SHOW fsync").unwrap(), ["on"]);
    assert_eq!(sql(&server.admin_url(), "SHOW full_page_writes").unwrap(), ["on"]);
}

#[test]
fn root_below_a_closed_directory_gets_a_temporary_one_that_goes_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let root = parent.path().join("closed");
    let server = Server::start(options(root.clone())).unwrap();
    let elsewhere = PathBuf::from(fs::read_to_string(root.join("elsewhere")).unwrap());
    assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(sql(&server.admin_url(), "SELECT 1").unwrap(), ["1"]);
    drop(server);
    assert!(!elsewhere.exists() && !root.exists());
}

#[test]
fn nobody_can_start_a_cluster_without_being_root() {
    if !rustix::process::geteuid().is_root() {
        return; // The other tests have just shown it.
    }
    let parent = open_directory();
    let root = parent.path().join("as-nobody");
    let status = play("stop", "the_other_process", &root, true).wait().unwrap();
    assert!(status.success() && !root.exists());
}

#[test]
fn a_killed_owner_leaves_neither_server_nor_files() {
    let parent = open_directory();
    let root = parent.path().join("killed");
    let (mut owner, port) = owner_with_a_server(&root);
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_for("the watcher", || refuses_connections(port) && !root.exists());
}

#[test]
fn a_cluster_that_lost_its_owner_and_its_watcher_is_removed_at_the_next_start() {
    let parent = open_directory();
    let root = parent.path().join("orphan");
    let (mut owner, port) = owner_with_a_server(&root);
    kill_watcher_of(&root);
    owner.kill().unwrap();
    owner.wait().unwrap();
    sleep(Duration::from_millis(300));
    assert!(!refuses_connections(port), "without its watcher it lives on");
    let next = Server::start(options(parent.path().join("next"))).unwrap();
    assert!(refuses_connections(port) && !root.exists());
    let other = Server::start(options(parent.path().join("other"))).unwrap();
    assert_eq!(sql(&next.admin_url(), "SELECT 1").unwrap(), ["1"], "a start leaves the living alone");
    drop(other);
}

fn owner_with_a_server(root: &Path) -> (Child, u16) {
    let mut owner = play("hang", "the_other_process", root, false);
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let port = lines.map_while(Result::ok).find_map(|line| line.rsplit_once("port=")?.1.parse().ok());
    (owner, port.unwrap())
}

/// The one child of `sh` whose arguments name this cluster.
fn kill_watcher_of(root: &Path) {
    let output = Command::new("ps").args(["-eo", "pid=,args="]).output().unwrap();
    let processes = String::from_utf8(output.stdout).unwrap();
    let needle = format!("postgres-watcher {}", root.join("data").display());
    let watcher = processes.lines().find(|line| line.contains(&needle)).unwrap();
    let pid = watcher.split_whitespace().next().unwrap();
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}

/// Not a test by itself: what the tests above run in a process of its own.
#[test]
fn the_other_process() {
    let Some(part) = env::var_os(PART) else { return };
    let server = Server::start(options(env::var_os("ROOT").unwrap().into())).unwrap();
    println!("\nport={}", server.port());
    if part == "hang" {
        sleep(Duration::from_mins(1));
    }
    server.stop().unwrap();
}
