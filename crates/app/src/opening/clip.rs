//! Lines and rings cut at the edges of a square: segments by Liang and Barsky (1984), rings by Sutherland and Hodgman (1974). Pure.

/// A place in the units of a tile.
pub(super) type Point = [f64; 2];

/// A square from `low` to `high` both ways.
#[derive(Clone, Copy, Debug)]
pub(super) struct Square {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Square {
    pub(super) fn holds(self, [x, y]: Point) -> bool {
        let within = |n: f64| n >= self.low && n <= self.high;
        within(x) && within(y)
    }
}

/// The pieces of a line that lie in the square, each of two points or more.
pub(super) fn line(points: &[Point], square: Square) -> Vec<Vec<Point>> {
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let mut open: Vec<Point> = Vec::new();
    for (from, to) in points.iter().zip(points.iter().skip(1)) {
        let Some((begin, end)) = segment(*from, *to, square) else {
            close(&mut pieces, &mut open);
            continue;
        };
        if open.last() != Some(&begin) {
            close(&mut pieces, &mut open);
            open.push(begin);
        }
        if open.last() != Some(&end) {
            open.push(end);
        }
        if end != *to {
            close(&mut pieces, &mut open);
        }
    }
    close(&mut pieces, &mut open);
    pieces
}

fn close(pieces: &mut Vec<Vec<Point>>, open: &mut Vec<Point>) {
    let piece = std::mem::take(open);
    if piece.len() > 1 {
        pieces.push(piece);
    }
}

/// The part of a segment that lies in the square.
fn segment(from: Point, to: Point, square: Square) -> Option<(Point, Point)> {
    let ([x0, y0], [x1, y1]) = (from, to);
    let (dx, dy) = (x1 - x0, y1 - y0);
    let (mut begin, mut end) = (0.0_f64, 1.0_f64);
    for (p, q) in [
        (-dx, x0 - square.low),
        (dx, square.high - x0),
        (-dy, y0 - square.low),
        (dy, square.high - y0),
    ] {
        if p == 0.0 {
            if q < 0.0 {
                return None;
            }
        } else if p < 0.0 {
            begin = begin.max(q / p);
        } else {
            end = end.min(q / p);
        }
    }
    if begin > end {
        return None;
    }
    let kept = |n: f64| n.clamp(square.low, square.high);
    let at = |t: f64| [kept(x0 + t * dx), kept(y0 + t * dy)];
    // The ends themselves stay exactly what they are.
    let first = if begin > 0.0 { at(begin) } else { from };
    let last = if end < 1.0 { at(end) } else { to };
    Some((first, last))
}

/// The part of a ring that lies in the square, without its first point again at the end; empty when there is none.
pub(super) fn ring(points: &[Point], square: Square) -> Vec<Point> {
    let mut ring: Vec<Point> = points.to_vec();
    if ring.len() > 1 && ring.first() == ring.last() {
        ring.pop();
    }
    for edge in [Edge::Left, Edge::Right, Edge::Top, Edge::Bottom] {
        if ring.is_empty() {
            break;
        }
        ring = edge.cut(&ring, square);
    }
    ring
}

#[derive(Clone, Copy)]
enum Edge {
    Left,
    Right,
    Top,
    Bottom,
}

impl Edge {
    fn inside(self, [x, y]: Point, square: Square) -> bool {
        match self {
            Edge::Left => x >= square.low,
            Edge::Right => x <= square.high,
            Edge::Top => y >= square.low,
            Edge::Bottom => y <= square.high,
        }
    }

    /// Where a segment that crosses the edge does so.
    fn crossing(self, [x0, y0]: Point, [x1, y1]: Point, square: Square) -> Point {
        let part = |from: f64, to: f64, at: f64| (at - from) / (to - from);
        match self {
            Edge::Left => [square.low, y0 + (y1 - y0) * part(x0, x1, square.low)],
            Edge::Right => [square.high, y0 + (y1 - y0) * part(x0, x1, square.high)],
            Edge::Top => [x0 + (x1 - x0) * part(y0, y1, square.low), square.low],
            Edge::Bottom => [x0 + (x1 - x0) * part(y0, y1, square.high), square.high],
        }
    }

    fn cut(self, ring: &[Point], square: Square) -> Vec<Point> {
        let mut kept = Vec::with_capacity(ring.len() + 4);
        let before = ring.last().into_iter().chain(ring);
        for (from, to) in before.zip(ring) {
            match (self.inside(*from, square), self.inside(*to, square)) {
                (true, true) => kept.push(*to),
                (true, false) => kept.push(self.crossing(*from, *to, square)),
                (false, true) => {
                    kept.push(self.crossing(*from, *to, square));
                    kept.push(*to);
                }
                (false, false) => {}
            }
        }
        kept
    }
}

/// Twice the area of a ring; positive where it turns clockwise as it is seen (y grows downwards).
pub(super) fn turned(ring: &[Point]) -> f64 {
    let before = ring.last().into_iter().chain(ring);
    before.zip(ring).map(|([x0, y0], [x1, y1])| x0 * y1 - x1 * y0).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SQUARE: Square = Square { low: -64.0, high: 4160.0 };

    fn place() -> impl Strategy<Value = Point> {
        (-20_000.0..20_000.0_f64, -20_000.0..20_000.0_f64).prop_map(|(x, y)| [x, y])
    }

    fn length(line: &[Point]) -> f64 {
        line.iter()
            .zip(line.iter().skip(1))
            .map(|([x0, y0], [x1, y1])| (x1 - x0).hypot(y1 - y0))
            .sum()
    }

    #[test]
    fn a_line_through_is_cut_and_one_within_stays() {
        let through = line(&[[-100.0, 10.0], [5000.0, 10.0]], SQUARE);
        assert_eq!(through, [vec![[-64.0, 10.0], [4160.0, 10.0]]]);
        let within = vec![[0.0, 0.0], [5.0, 5.0], [9.0, 2.0]];
        assert_eq!(line(&within, SQUARE), [within]);
        // Out and back in: two pieces.
        let twice = line(&[[0.0, 0.0], [5000.0, 0.0], [5000.0, 9.0], [0.0, 9.0]], SQUARE);
        assert_eq!(twice.len(), 2);
        assert!(line(&[[5000.0, 0.0], [5000.0, 10.0]], SQUARE).is_empty());
    }

    #[test]
    fn a_ring_around_becomes_the_square() {
        let around = [[-9000.0, -9000.0], [9000.0, -9000.0], [9000.0, 9000.0], [-9000.0, 9000.0]];
        let cut = ring(&around, SQUARE);
        assert_eq!(turned(&cut) / 2.0, 4224.0 * 4224.0);
        assert!(ring(&[[5000.0, 0.0], [6000.0, 0.0], [6000.0, 9.0]], SQUARE).is_empty());
        let small = [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 0.0]];
        assert_eq!(turned(&ring(&small, SQUARE)), turned(&small));
    }

    proptest! {
        #[test]
        fn nothing_reaches_out(points in prop::collection::vec(place(), 0..20)) {
            for piece in line(&points, SQUARE) {
                prop_assert!(piece.len() > 1);
                prop_assert!(piece.iter().all(|p| SQUARE.holds(*p)), "{piece:?}");
            }
            // Rounding may lie a hair outside the edge that was cut before.
            let wide = Square { low: SQUARE.low - 1e-6, high: SQUARE.high + 1e-6 };
            prop_assert!(ring(&points, SQUARE).iter().all(|p| wide.holds(*p)));
        }

        #[test]
        fn what_is_cut_is_never_more(points in prop::collection::vec(place(), 2..20)) {
            let kept: f64 = line(&points, SQUARE).iter().map(|p| length(p)).sum();
            prop_assert!(kept <= length(&points) + 1e-6);
        }

        #[test]
        fn a_box_keeps_what_both_have(
            (x, y) in (-9_000.0..9_000.0_f64, -9_000.0..9_000.0_f64),
            (w, h) in (1.0..9_000.0_f64, 1.0..9_000.0_f64),
        ) {
            let own = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]];
            let shared = |from: f64, to: f64| {
                (to.min(SQUARE.high) - from.max(SQUARE.low)).max(0.0)
            };
            let expected = shared(x, x + w) * shared(y, y + h);
            let found = turned(&ring(&own, SQUARE)) / 2.0;
            prop_assert!((found - expected).abs() <= 1e-3 * (1.0 + expected), "{found} {expected}");
        }
    }
}
