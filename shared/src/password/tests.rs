use super::*;

#[test]
fn placeholder() {
    assert!(true);
}
