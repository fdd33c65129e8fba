;; 示例程序：按第一个表第一列的值计数，输出 value,count。
;; Sample: counts the rows of the first table by its first column, and writes value,count.
;;
;; Memory
;;        0  words that are written
;;    65536  buckets: 4096 of 12 bytes  (address of the value, its length, count); length 0 with count 0: free
;;   131072  the table, as read; pages are added as it needs
;;
;; A value ends at a comma or the end of its line; values in quotes are not unfolded. Up to 4096 values.
(module
  (import "qiantang" "size" (func $size (param i32) (result i64)))
  (import "qiantang" "read" (func $read (param i32 i64 i32 i32) (result i32)))
  (import "qiantang" "write" (func $write (param i32 i32) (result i32)))
  (import "qiantang" "log" (func $log (param i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "value,count\n")
  (data (i32.const 16) "too many values\n")
  (global $table i32 (i32.const 131072))
  (global $buckets i32 (i32.const 65536))
  (global $places i32 (i32.const 4096))

  ;; FNV-1a over the bytes of a value.
  (func $hash (param $at i32) (param $len i32) (result i32)
    (local $h i32) (local $end i32)
    (local.set $h (i32.const 0x811c9dc5))
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $h
          (i32.mul
            (i32.xor (local.get $h) (i32.load8_u (local.get $at)))
            (i32.const 0x01000193)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $h))

  ;; 1 when two values of the same length are the same.
  (func $same (param $a i32) (param $b i32) (param $len i32) (result i32)
    (block $differ
      (loop $next
        (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
        (br_if $differ
          (i32.ne (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (local.set $b (i32.add (local.get $b) (i32.const 1)))
        (local.set $len (i32.sub (local.get $len) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Counts one value; 0 when there is no place for another one.
  (func $count (param $at i32) (param $len i32) (result i32)
    (local $place i32) (local $tries i32) (local $bucket i32)
    (local.set $place
      (i32.rem_u (call $hash (local.get $at) (local.get $len)) (global.get $places)))
    (loop $next
      (local.set $bucket
        (i32.add (global.get $buckets) (i32.mul (local.get $place) (i32.const 12))))
      (if (i32.eqz (i32.load offset=8 (local.get $bucket)))
        (then
          (i32.store (local.get $bucket) (local.get $at))
          (i32.store offset=4 (local.get $bucket) (local.get $len))
          (i32.store offset=8 (local.get $bucket) (i32.const 1))
          (return (i32.const 1))))
      (if (i32.eq (i32.load offset=4 (local.get $bucket)) (local.get $len))
        (then
          (if (call $same (i32.load (local.get $bucket)) (local.get $at) (local.get $len))
            (then
              (i32.store offset=8 (local.get $bucket)
                (i32.add (i32.load offset=8 (local.get $bucket)) (i32.const 1)))
              (return (i32.const 1))))))
      (local.set $place (i32.rem_u (i32.add (local.get $place) (i32.const 1)) (global.get $places)))
      (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $tries) (global.get $places))))
    (i32.const 0))

  ;; Writes a number in digits and an end of line, from the words' place backwards.
  (func $digits (param $n i32)
    (local $at i32)
    (local.set $at (i32.const 63))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.rem_u (local.get $n) (i32.const 10)) (i32.const 48)))
      (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
      (br_if $next (local.get $n)))
    (drop (call $write (local.get $at) (i32.sub (i32.const 64) (local.get $at)))))

  (func (export "run") (result i32)
    (local $bytes i32) (local $end i32) (local $at i32) (local $from i32) (local $c i32)
    (local $head i32) (local $in i32) (local $bucket i32) (local $n i32)
    (local.set $bytes (i32.wrap_i64 (call $size (i32.const 0))))
    ;; Pages for the table.
    (if (i32.eq
          (memory.grow
            (i32.add (i32.div_u (local.get $bytes) (i32.const 65536)) (i32.const 1)))
          (i32.const -1))
      (then (return (i32.const 2))))
    (drop (call $read (i32.const 0) (i64.const 0) (global.get $table) (local.get $bytes)))
    (local.set $end (i32.add (global.get $table) (local.get $bytes)))
    (local.set $at (global.get $table))
    (local.set $from (local.get $at))
    (local.set $head (i32.const 1))
    (local.set $in (i32.const 1))
    (block $read_all
      (loop $next
        ;; The last line may have no end.
        (if (i32.ge_u (local.get $at) (local.get $end))
          (then
            (br_if $read_all
              (i32.or
                (i32.eqz (local.get $in))
                (i32.or (local.get $head) (i32.ge_u (local.get $from) (local.get $end)))))
            (if (i32.eqz (call $count (local.get $from) (i32.sub (local.get $at) (local.get $from))))
              (then (call $log (i32.const 16) (i32.const 16)) (return (i32.const 1))))
            (br $read_all)))
        (local.set $c (i32.load8_u (local.get $at)))
        ;; The first column ends at a comma, a carriage return or a line's end.
        (if (i32.and
              (local.get $in)
              (i32.or
                (i32.eq (local.get $c) (i32.const 44))
                (i32.or
                  (i32.eq (local.get $c) (i32.const 10))
                  (i32.eq (local.get $c) (i32.const 13)))))
          (then
            (local.set $in (i32.const 0))
            (if (i32.eqz (local.get $head))
              (then
                (if (i32.eqz (call $count (local.get $from) (i32.sub (local.get $at) (local.get $from))))
                  (then (call $log (i32.const 16) (i32.const 16)) (return (i32.const 1))))))))
        (if (i32.eq (local.get $c) (i32.const 10))
          (then
            (local.set $head (i32.const 0))
            (local.set $in (i32.const 1))
            (local.set $from (i32.add (local.get $at) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    ;; Values with their counts.
    (drop (call $write (i32.const 0) (i32.const 12)))
    (loop $each
      (local.set $bucket
        (i32.add (global.get $buckets) (i32.mul (local.get $n) (i32.const 12))))
      (if (i32.load offset=8 (local.get $bucket))
        (then
          (drop (call $write (i32.load (local.get $bucket)) (i32.load offset=4 (local.get $bucket))))
          (i32.store8 (i32.const 40) (i32.const 44))
          (drop (call $write (i32.const 40) (i32.const 1)))
          (call $digits (i32.load offset=8 (local.get $bucket)))))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $each (i32.lt_u (local.get $n) (global.get $places))))
    (i32.const 0)))
