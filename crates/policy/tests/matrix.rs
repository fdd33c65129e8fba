//! The permission matrix against the committed one. After an intended change of rules: `UPDATE_EXPECT=1`.

use crate::house::policy;

#[test]
fn the_matrix_is_the_reviewed_one() {
    expect_test::expect_file!["matrix.txt"].assert_eq(&policy::matrix(&policy()));
}
