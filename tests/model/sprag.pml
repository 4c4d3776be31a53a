/*
 * The barrier protocol of sprag: one file, copied by runs that are cut off at any step.
 *
 * docs/DURABILITY.md describes the protocol in words. docs/ARCHITECTURE.md, "The model", says which
 * code each step here stands for, and what the model leaves out. `tests/model/run` checks it.
 *
 * The destination is a set of cells, each of which holds one byte:
 *
 *     blocks of inodes, one cell each      the version of the source that the block belongs to
 *     the directory, one cell              which inodes the final and the partial name stand for
 *     frames of the manifest, one each     a record
 *
 * A cell has a value on the medium, a value that programs see, and a state that says how far the
 * second is on its way to the medium. A kill leaves all cells alone. After a power cut each cell
 * that is not DURABLE holds the old value, the new one, or garbage, independently of the others.
 *
 * The three promises are the asserts marked (1), (2) and (3).
 *
 * Configuration, by preprocessor: EACH (flush file by file; else with syncfs), WEAK (syncfs does not
 * make the device empty its cache), LIES (flushes that the device answers without doing anything),
 * FAILS (flushes that fail), CRASHES (kills and power cuts, in any phase, recovery included),
 * AGAIN (the source changes while it is read, or a run is begun after one that succeeded).
 * OMIT_... leaves out a step of the protocol; spin then finds out what is lost.
 */

#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef FAILS
#define FAILS 1
#endif
#ifndef LIES
#define LIES 0
#endif
#ifndef AGAIN
#define AGAIN 1
#endif

#define BLOCKS 2
#define INODES 4
#define FRAMES 30

/* Versions of the source. GARBAGE is what was never written, or not in full. */
#define GARBAGE 0
#define A 1
#define B 2
#define OLD 3 /* a file that stood at the destination before the first run */

/* ---- Storage ---------------------------------------------------------------------------- */

/* How far a value is. The order matters: everything but DURABLE is at risk. */
#define DURABLE 0
#define CACHED 1 /* in the volatile cache of the device */
#define DIRTY 2  /* in the page cache */
#define LOST 3   /* in the page cache, taken for clean: its flush failed */

#define BLOCK(inode, i) ((inode) * BLOCKS + (i))
#define DIRECTORY 8 /* INODES * BLOCKS */
#define FRAME(i) (9 + (i))
#define CELLS 39 /* FRAME(FRAMES) */
byte medium[CELLS], seen[CELLS], state[CELLS];

/* The value of the directory: which inode the final and the partial name stand for. */
#define NO_INODE 7
#define DIR(final, partial) ((final) * 8 + (partial))
#define FINAL(dir) ((dir) / 8)
#define PARTIAL(dir) ((dir) % 8)
#define NAMED(inode, dir) ((inode) == FINAL(dir) || (inode) == PARTIAL(dir))
#define IN_USE(inode) (NAMED(inode, seen[DIRECTORY]) || NAMED(inode, medium[DIRECTORY]))

/* What reading past the page cache gives. */
#define ON_MEDIUM(cell) (state[cell] == LOST -> medium[cell] : seen[cell])

byte crashes = CRASHES, fails = FAILS, lies = LIES, again = AGAIN;

/* Gives a cell another value. One that waits to be written may get to the medium before. */
inline put(cell, value) {
    if
    :: state[cell] == DIRTY || state[cell] == CACHED -> medium[cell] = seen[cell]
    :: true
    fi;
    seen[cell] = value;
    state[cell] = (medium[cell] == value -> DURABLE : DIRTY)
}

/* The device is told to empty its cache. If it lies, it says that it did. */
inline empty_cache() {
    if
    :: lies > 0 -> lies--; printf("  the device lies\n")
    :: true ->
        d_step {
            for (n : 0 .. CELLS - 1) {
                if
                :: state[n] == CACHED -> medium[n] = seen[n]; state[n] = DURABLE
                :: else
                fi
            }
            n = 0
        }
    fi
}

/* Moves `n` on to the next cell before `limit` that is in one of these states. */
#define NEXT(limit, lowest, highest) \
    d_step { \
        do \
        :: n < (limit) && (state[n] < lowest || state[n] > highest) -> n++ \
        :: else -> break \
        od \
    }

/* Writes dirty cells to the device. When that fails any of them are lost, and the page cache takes
   them for clean: a second flush of them says that all is well. The directory is never lost: file
   systems whose journal fails shut down. */
inline write_out(from, limit) {
    n = from;
    do
    :: NEXT(limit, DIRTY, DIRTY);
        if
        :: n >= (limit) -> n = 0; break
        :: n < (limit) -> state[n] = CACHED; n++
        :: n < (limit) && failed && n != DIRECTORY -> state[n] = LOST; n++
        fi
    od
}

inline may_fail() {
    if
    :: fails > 0 -> fails--; failed = true; printf("  the flush fails\n")
    :: true -> failed = false
    fi
}

inline sync_everything() {
    may_fail();
    write_out(0, CELLS);
#ifndef WEAK
    if
    :: !failed -> empty_cache()
    :: else
    fi
#endif
}

inline sync_file(inode_of) {
    may_fail();
    write_out(BLOCK(inode_of, 0), BLOCK(inode_of, BLOCKS));
    if
    :: !failed -> empty_cache()
    :: else
    fi
}

inline sync_dir() {
    failed = false;
    write_out(DIRECTORY, DIRECTORY + 1);
    empty_cache()
}

inline sync_manifest() {
    may_fail();
    write_out(FRAME(0), CELLS);
    if
    :: !failed -> empty_cache()
    :: else
    fi
}

/* A power cut. Each cell decides for itself: the new value, the old one, or garbage. */
inline cut_power() {
    n = 0;
    do
    :: NEXT(CELLS, CACHED, LOST);
        if
        :: n >= CELLS -> n = 0; break
        :: n < CELLS && state[n] != LOST && medium[n] != seen[n] -> medium[n] = seen[n]
        :: n < CELLS
        :: n < CELLS && medium[n] != GARBAGE && n != DIRECTORY -> medium[n] = GARBAGE
        fi;
        d_step { seen[n] = medium[n]; state[n] = DURABLE; n++ }
    od
}

/* The next run reads the medium: what the page cache shows and never wrote is gone for it. */
inline drop_lost() {
    for (n : 0 .. CELLS - 1) {
        if
        :: state[n] == LOST -> seen[n] = medium[n]; state[n] = DURABLE
        :: else
        fi
    }
    n = 0
}

/* ---- The manifest ----------------------------------------------------------------------- */

/* Records, one a frame. */
#define NOTHING GARBAGE /* no frame, or a bad one */
#define RUN 1               /* RunBegin and RunEnd */
#define REMOVED 2
#define CUT(keep) (4 + (keep))
#define BEGIN(v) (8 + (v))
#define DONE(v) (12 + (v))
#define ADOPTED(v) (16 + (v)) /* Done, without a partial name */
#define BLOCKREC(v, i) (32 + 4 * (i) + (v))
#define BARRIER(covers) (64 + (covers))

byte end;         /* where the next record goes */
bool unsealed;    /* something was recorded or renamed that no barrier covers */

inline append(record) {
    assert(end < FRAMES);
    put(FRAME(end), record);
    end++
}

/* What the manifest says of the file. */
#define NONE 0
#define PART 1
#define FULL 2
byte kind, version, blocks;
byte trusted_blocks; /* so many of them come before the trusted end */
bool in_tail;        /* its last record does not */
bool adopts;
byte trusted;        /* records before this position are trusted */
/* The same for the records that compaction has dropped. */
byte base_kind = NONE, base_version, base_blocks;

/* Reads frames 0 to `limit`, exclusive, into the variables above. */
inline replay(limit) {
    kind = base_kind; version = base_version; blocks = base_blocks;
    trusted_blocks = blocks; in_tail = false; adopts = false;
    for (n : 0 .. limit - 1) {
        if
        :: n >= limit -> break
        :: else
        fi;
        r = seen[FRAME(n)];
        if
        :: r == REMOVED -> kind = NONE; version = 0; blocks = 0; trusted_blocks = 0; in_tail = false
        :: r >= 4 && r < 8 -> /* Cut */
            if
            :: blocks > r - 4 -> blocks = r - 4
            :: else
            fi;
            if
            :: trusted_blocks > r - 4 -> trusted_blocks = r - 4
            :: else
            fi;
            in_tail = (n >= trusted)
        :: r >= 8 && r < 12 -> /* Begin */
            kind = PART; version = r - 8; blocks = 0; trusted_blocks = 0; in_tail = (n >= trusted)
        :: r >= 12 && r < 20 -> /* Done */
            adopts = (r >= 16);
            kind = FULL; version = (r - 12) % 4; blocks = BLOCKS; in_tail = (n >= trusted);
            if
            :: adopts -> trusted_blocks = (in_tail -> 0 : BLOCKS)
            :: else
            fi
        :: r >= 32 && r < 64 -> /* Blocks; one that fits nothing before it would be damage */
            assert(kind == PART && version == r % 4 && blocks == (r - 32) / 4);
            blocks++;
            in_tail = (n >= trusted);
            if
            :: !in_tail -> trusted_blocks = blocks
            :: else
            fi
        :: else
        fi
    }
    n = 0; r = 0
}

/* Finds the last two barriers before `limit`. */
inline find_barriers(limit) {
    last = 0; last_but_one = 0; barriers = 0;
    for (n : 0 .. limit - 1) {
        if
        :: n >= limit -> break
        :: n < limit && seen[FRAME(n)] >= 64 ->
            last_but_one = last; last = seen[FRAME(n)] - 64; barriers++;
            assert(last <= n && last >= last_but_one)
        :: else
        fi
    }
    n = 0
}

/* Opens the manifest: finds where it ends and what of it is trusted. */
inline read_manifest() {
    end = 0;
    do
    :: end < FRAMES && seen[FRAME(end)] != NOTHING -> end++
    :: else -> break
    od;
    /* A bad frame that the last barrier but one covers is damage, and the run would be refused. */
    find_barriers(FRAMES);
    assert(barriers < 2 || last_but_one <= end);
    find_barriers(end);
    trusted = (barriers < 2 -> 0 : last_but_one);
#ifdef OMIT_MARGIN
    trusted = last;
#endif
    replay(end);
#ifdef OMIT_PROOF
    trusted_blocks = blocks; in_tail = false;
#endif
    last = 0; last_but_one = 0; barriers = 0
}

/* Not a step of the protocol: drops records that are durable and trusted for good, and inodes that
   no name stands for, so that histories that differ in nothing else become the same state. */
inline forget_history() {
    n = 0;
    do
    :: n < end && state[FRAME(n)] == DURABLE -> n++
    :: else -> break
    od;
    m = n;
    find_barriers(m);
    if
    :: barriers >= 2 && last_but_one > 0 ->
        m = last_but_one;
        trusted = m;
        replay(m);
        base_kind = kind; base_version = version; base_blocks = blocks;
        for (n : 0 .. FRAMES - 1) {
            if
            :: n + m < FRAMES ->
                r = seen[FRAME(n + m)];
                seen[FRAME(n)] = (r < 64 -> r : (r - 64 > m -> r - m : 64));
                r = medium[FRAME(n + m)];
                medium[FRAME(n)] = (r < 64 -> r : (r - 64 > m -> r - m : 64));
                state[FRAME(n)] = state[FRAME(n + m)]
            :: else -> seen[FRAME(n)] = NOTHING; medium[FRAME(n)] = NOTHING; state[FRAME(n)] = DURABLE
            fi
        }
        end = end - m;
        removed_at = (removed_at > m -> removed_at - m : 0);
        trusted = 0;
        replay(end)
    :: else
    fi;
    m = 0; n = 0; r = 0; last = 0; last_but_one = 0; barriers = 0;
    trusted = 0; trusted_blocks = 0; in_tail = false; adopts = false
}

inline forget_inodes() {
    for (n : 0 .. INODES - 1) {
        if
        :: !IN_USE(n) ->
            for (m : BLOCK(n, 0) .. BLOCK(n, BLOCKS - 1)) {
                medium[m] = GARBAGE; seen[m] = GARBAGE; state[m] = DURABLE
            }
        :: else
        fi
    }
    n = 0; m = 0
}

/* ---- The promises ----------------------------------------------------------------------- */

#define BIT(v) (1 << (v))
byte allowed = BIT(OLD); /* versions that the final name may stand for */

/* (2) Wherever the power is cut now, the final name holds a whole file, the old or the new one. */
inline check_name(dir) {
    m = BLOCK(FINAL(dir), 0);
    assert(FINAL(dir) != NO_INODE);
    assert(allowed & BIT(seen[m]));
    for (n : 0 .. BLOCKS - 1) {
        assert(seen[m + n] == seen[m]);
        assert(medium[m + n] == seen[m])
    }
    m = 0; n = 0
}

inline check_names() {
    check_name(seen[DIRECTORY]);
    check_name(medium[DIRECTORY])
}

/* With a single flush of the device before the rename, one lie about it can leave a name with less
   than its file until the rerun, which mends it. Everywhere else one lie does no harm. */
inline check_names_at_any_moment() {
#if !defined(WEAK) || LIES == 0
    check_names()
#else
    skip
#endif
}

/* What barriers that were made cover: of which version, how many blocks. The last and the last but
   one. It is forgotten when the run itself gives the partial up. */
byte covered_version, covered_blocks, before_version, before_blocks;
/* Blocks that this run has read back. */
byte reread;
bool records_lost; /* by a power cut or a failed flush */

inline seal(v, b) {
    before_version = covered_version; before_blocks = covered_blocks;
    covered_version = v; covered_blocks = b
}

/* (1) After recovery nothing is lost that the last barrier but one covered, and if the device did
   not lie, nothing of it was read again, but for the last block of a file that was done, and a file
   whose rename outlived its record. */
inline check_ground() {
    if
    :: before_version != 0 && before_version == source ->
        assert(kept >= before_blocks);
        if
        :: lies == LIES && !(by_name && records_lost) ->
            for (n : 0 .. BLOCKS - 1) {
                assert(n >= before_blocks || !(reread & BIT(n)) || (n == BLOCKS - 1 && kind == FULL))
            }
        :: else
        fi
    :: else
    fi;
    n = 0
}

/* ---- One run ---------------------------------------------------------------------------- */

byte source;          /* the version that the source holds now */
bool failed;          /* the flush at hand did */
byte n, m, r, last, last_but_one, barriers; /* of steps, zero between them */

/* The worker. */
#define PLANNING 0
#define WAITING 1  /* for a barrier that covers the end of the partial's record */
#define GIVING_UP 2
#define CREATING 3
#define WRITING 4
#define FINISHED 5
byte worker, written, inode, kept;
bool by_name; /* found whole under its final name */
bool begun;   /* Begin is recorded, or was by an earlier run */

/* The committer. */
#define IDLE 0
#define SYNC 1      /* data, by syncfs or the file */
#define SYNC_DIR 2
#define SYNC_RECORDS 3
#define NAMING 4
#define SEALING 5
byte committer, covers, cover_version, cover_blocks;
byte waiting, publishing; /* 1: to be renamed, 2: adopted */
bool file_dirty, dir_dirty, flush_file, flush_dir, ending;
#define NEEDS_BARRIER (unsealed || waiting || file_dirty || dir_dirty)
byte removed_at; /* the record that ends the partial's is before this position */

/* What recovery found out. */
#define TRUE_AS_IT_IS 0
#define RENAME 1
#define CUT_IT 2
#define UNTRUE 3
byte finding, matching;
bool proved;

inline forget_process() {
    worker = PLANNING; written = 0; inode = 0; kept = 0; by_name = false;
    committer = IDLE; covers = 0; cover_version = 0; cover_blocks = 0;
    waiting = 0; publishing = 0;
    file_dirty = false; dir_dirty = false; flush_file = false; flush_dir = false;
    ending = false; begun = false; removed_at = 0;
    finding = 0; matching = 0; proved = false; reread = 0; unsealed = false; failed = false;
    kind = 0; version = 0; blocks = 0; trusted_blocks = 0; in_tail = false; adopts = false;
    trusted = 0; end = 0
}

/* Compares the claimed blocks, `first` and on, with an inode; what is equal is counted. */
inline read_back(from, first) {
    matching = 0;
    n = first;
    do
    :: n < blocks && from != NO_INODE ->
        reread = reread | BIT(n);
        if
        :: ON_MEDIUM(BLOCK(from, n)) == version -> matching++; n++
        :: else -> break
        fi
    :: else -> break
    od;
    n = 0
}

/* A crash may come between any two steps. */
#define STEP \
    if \
    :: true \
    :: crashes > 0 -> goto crashed \
    fi
#define UNLESS_FAILED \
    if \
    :: failed -> goto failure \
    :: else \
    fi

active proctype machine() {
    seen[DIRECTORY] = DIR(0, NO_INODE);
    medium[DIRECTORY] = seen[DIRECTORY];
    seen[0] = OLD; medium[0] = OLD;
    seen[1] = OLD; medium[1] = OLD;

start:
    /* The source is whichever it is: A, then B, then A is one of the ways. */
    atomic {
        if
        :: source = A
        :: source != 0 -> source = B /* in the first run B is the same as A */
        fi;
        allowed = allowed | BIT(source);
        d_step { read_manifest() }
        printf("RUN: source %d; manifest: kind %d of %d, %d blocks, %d trusted\n",
            source, kind, version, blocks, trusted_blocks);
        /* A torn tail is cut, and that is flushed before anything is appended. */
        m = 0;
        for (n : end .. FRAMES - 1) {
            if
            :: seen[FRAME(n)] != NOTHING ->
                m = 1;
                put(FRAME(n), NOTHING)
            :: else
            fi
        }
        n = 0
    }
    STEP;
    atomic {
        if
        :: m -> m = 0;
#ifndef OMIT_TORN_FLUSH
            sync_manifest(); UNLESS_FAILED
#endif
        :: else
        fi
    }
    STEP;
    atomic { append(RUN) }
    STEP;

    /* Recovery: proves what is in the tail. */
    atomic {
        if
        :: in_tail && kind == PART ->
            read_back(PARTIAL(seen[DIRECTORY]), trusted_blocks);
            if
            :: PARTIAL(seen[DIRECTORY]) == NO_INODE -> finding = UNTRUE
            :: PARTIAL(seen[DIRECTORY]) != NO_INODE && trusted_blocks + matching < blocks -> finding = CUT_IT
            :: else
            fi;
            inode = PARTIAL(seen[DIRECTORY])
        :: in_tail && kind == FULL ->
            if
            :: trusted_blocks == BLOCKS -> trusted_blocks = BLOCKS - 1
            :: else
            fi;
            inode = (adopts -> NO_INODE : PARTIAL(seen[DIRECTORY]));
            read_back(inode, trusted_blocks);
            if
            :: inode != NO_INODE && matching == BLOCKS - trusted_blocks -> finding = RENAME
            :: else ->
                inode = FINAL(seen[DIRECTORY]);
                read_back(inode, trusted_blocks);
                finding = (matching == BLOCKS - trusted_blocks -> TRUE_AS_IT_IS : UNTRUE)
            fi
        :: else -> inode = NO_INODE; goto recovered
        fi;
#if defined(EACH) && !defined(OMIT_RECOVERY_FLUSH)
        if
        :: inode != NO_INODE -> sync_file(inode); UNLESS_FAILED
        :: else
        fi
#endif
    }
    STEP;
#if defined(EACH) && !defined(OMIT_RECOVERY_FLUSH) && !defined(OMIT_RECOVERY_DIR_FLUSH)
    /* What a killed run renamed or made is not durable yet, whatever is found out about it. */
    atomic { sync_dir() }
    STEP;
#endif
#if !defined(EACH) && !defined(OMIT_RECOVERY_FLUSH)
    atomic { sync_everything(); UNLESS_FAILED }
    STEP;
    atomic { sync_manifest(); UNLESS_FAILED }
    STEP;
#endif
    atomic {
        printf("recovery: finding %d\n", finding);
        if
        :: finding == RENAME -> put(DIRECTORY, DIR(PARTIAL(seen[DIRECTORY]), NO_INODE)); d_step { check_names_at_any_moment() }
        :: finding == CUT_IT -> append(CUT(trusted_blocks + matching)); blocks = trusted_blocks + matching
        :: finding == UNTRUE -> append(REMOVED); kind = NONE; version = 0; blocks = 0
        :: else
        fi
    }
    STEP;
#ifndef OMIT_RECOVERY_FLUSH
#ifdef EACH
    atomic {
        if
        :: finding == RENAME -> sync_dir()
        :: else
        fi
    }
    STEP;
#else
    atomic { sync_everything(); UNLESS_FAILED }
    STEP;
    atomic { sync_manifest(); UNLESS_FAILED }
    STEP;
#endif
#endif
    /* The first round flushes the records, the others the barriers that cover them. */
    atomic { sync_manifest(); UNLESS_FAILED; append(BARRIER(end)) }
    STEP;
#ifndef OMIT_RECOVERY_ROUNDS
    atomic { sync_manifest(); UNLESS_FAILED; append(BARRIER(end)) }
    STEP;
    atomic { sync_manifest(); UNLESS_FAILED; append(BARRIER(end)) }
    STEP;
#endif
    proved = true;

recovered:
    skip;
    d_step {
        forget_history();
        forget_inodes();
        finding = 0; matching = 0; inode = 0;
        unsealed = true
    }

    do
    /* -- the worker -- */
    :: atomic { worker == PLANNING ->
        if
        :: kind == FULL && version == source -> kept = BLOCKS; worker = FINISHED
        :: kind == PART && version == source && PARTIAL(seen[DIRECTORY]) != NO_INODE ->
            kept = blocks; inode = PARTIAL(seen[DIRECTORY]); written = blocks; worker = WRITING;
            file_dirty = true; begun = true;
            for (m : BLOCK(inode, blocks) .. BLOCK(inode, BLOCKS)) {
                if
                :: m < BLOCK(inode, BLOCKS) -> put(m, GARBAGE)
                :: else
                fi
            }
            m = 0
        :: else ->
            /* It may stand there, under its final name: compared with the source, it is adopted. */
            by_name = true;
            for (n : 0 .. BLOCKS - 1) {
                by_name = by_name && ON_MEDIUM(BLOCK(FINAL(seen[DIRECTORY]), n)) == source
            }
            n = 0;
            if
            :: by_name ->
                kept = BLOCKS; waiting = 2; dir_dirty = true; worker = FINISHED;
                reread = BIT(BLOCKS) - 1;
#ifdef EACH
                sync_file(FINAL(seen[DIRECTORY])); UNLESS_FAILED
#endif
            :: else -> worker = (kind == PART -> GIVING_UP : CREATING)
            fi
        fi;
        d_step {
            check_ground();
            /* Two barriers cover what recovery proved. */
            if
            :: kind == NONE || by_name -> seal(0, 0); seal(0, 0)
            :: else ->
                if
                :: proved -> seal(version, blocks); seal(version, blocks)
                :: else
                fi
            fi;
            kept = 0; by_name = false; reread = 0; proved = false
        } }

    :: atomic { worker == WRITING && written < BLOCKS -> printf("worker: writes block %d\n", written);
        put(BLOCK(inode, written), source); written++ }

    /* The source changes while it is read. */
    :: atomic { worker == WRITING && again > 0 -> printf("the source changes\n");
        again--; source = (source == A -> B : A); allowed = allowed | BIT(source);
        worker = (begun -> GIVING_UP : CREATING) }

    /* The record of the partial ends; its name stays taken until a barrier covers that. */
    :: atomic { worker == GIVING_UP -> printf("worker: gives the partial up\n");
        append(REMOVED); unsealed = true; removed_at = end;
        kind = NONE; version = 0; blocks = 0; written = 0; begun = false; records_lost = false;
        d_step { seal(0, 0); seal(0, 0); cover_version = 0; cover_blocks = 0 }
        if
        :: PARTIAL(seen[DIRECTORY]) != NO_INODE -> put(DIRECTORY, DIR(FINAL(seen[DIRECTORY]), NO_INODE))
        :: else
        fi;
#ifdef OMIT_RESERVATION
        removed_at = 0;
#endif
        worker = (removed_at -> WAITING : CREATING) }

    /* What is in the way of a free name is removed, and a new file made. */
    :: atomic { worker == CREATING -> printf("worker: makes a partial\n");
        if
        :: PARTIAL(seen[DIRECTORY]) != NO_INODE -> put(DIRECTORY, DIR(FINAL(seen[DIRECTORY]), NO_INODE))
        :: else
        fi;
        forget_inodes();
        inode = 0;
        do
        :: IN_USE(inode) -> inode++
        :: else -> break
        od;
        assert(inode < INODES);
        put(DIRECTORY, DIR(FINAL(seen[DIRECTORY]), inode));
        written = 0;
        worker = WRITING }

    /* -- the committer takes the worker's messages -- */
    :: atomic { worker == WRITING && !begun -> printf("committer: Begin\n");
        append(BEGIN(source)); begun = true; records_lost = false; kind = PART; version = source; blocks = 0;
        d_step { seal(0, 0); seal(0, 0); cover_version = 0; cover_blocks = 0 }
        file_dirty = true; dir_dirty = true; unsealed = true }

    :: atomic { worker == WRITING && begun && blocks < written -> printf("committer: Blocks %d\n", blocks);
        append(BLOCKREC(source, blocks)); blocks++; file_dirty = true; unsealed = true }

    :: atomic { worker == WRITING && begun && blocks == BLOCKS ->
        worker = FINISHED; waiting = 1; file_dirty = true; dir_dirty = true; written = 0; begun = false }

    /* -- a barrier -- */
    :: atomic { committer == IDLE && worker != PLANNING && NEEDS_BARRIER ->
        covers = end; cover_version = (kind == NONE || waiting == 2 -> 0 : version); cover_blocks = blocks;
        publishing = waiting; waiting = 0;
#ifdef EACH
        flush_file = file_dirty; flush_dir = dir_dirty;
#endif
        file_dirty = false; dir_dirty = false;
        unsealed = false;
        committer = SYNC }

    :: atomic { committer == SYNC -> printf("barrier: flushes the data\n");
#ifdef OMIT_DATA_FLUSH
        committer = SYNC_RECORDS
#else
#ifdef EACH
        if
        :: flush_file -> sync_file(inode)
        :: else -> failed = false
        fi;
        committer = (flush_dir -> SYNC_DIR : SYNC_RECORDS);
#else
        sync_everything();
        committer = SYNC_RECORDS;
#endif
#ifndef OMIT_LATCH
        UNLESS_FAILED
#endif
#endif
        }

    :: atomic { committer == SYNC_DIR -> printf("barrier: flushes the directory\n");
        sync_dir(); committer = SYNC_RECORDS }

    :: atomic { committer == SYNC_RECORDS -> printf("barrier: flushes the manifest; Barrier\n");
#ifndef OMIT_FIRST_FLUSH
        sync_manifest();
#ifndef OMIT_LATCH
        UNLESS_FAILED;
#endif
#endif
        append(BARRIER(covers));
#ifndef OMIT_DONE_FIRST
        if
        :: publishing -> r = (publishing == 1 -> DONE(version) : ADOPTED(source)); append(r); r = 0; records_lost = false;
            kind = FULL; version = source; blocks = BLOCKS; unsealed = true
        :: else
        fi;
#endif
        committer = NAMING }

    :: atomic { committer == NAMING ->
        if
        :: publishing == 1 -> printf("namer: renames\n");
            put(DIRECTORY, DIR(PARTIAL(seen[DIRECTORY]), NO_INODE)); dir_dirty = true; unsealed = true;
            d_step { check_names_at_any_moment() }
        :: else
        fi;
#ifndef OMIT_DONE_FIRST
        publishing = 0;
#endif
        committer = SEALING }

#ifdef OMIT_DONE_FIRST
    :: atomic { committer == SEALING && publishing ->
        r = (publishing == 1 -> DONE(version) : ADOPTED(source)); append(r); r = 0; records_lost = false;
        kind = FULL; version = source; blocks = BLOCKS; unsealed = true; publishing = 0 }
#endif

    :: atomic { committer == SEALING && publishing == 0 -> printf("barrier: flushes the manifest again\n");
#ifndef OMIT_SECOND_FLUSH
        sync_manifest();
#ifndef OMIT_LATCH
        UNLESS_FAILED;
#endif
#endif
        committer = IDLE;
        seal(cover_version, cover_blocks);
        if
        :: worker == WAITING && covers >= removed_at -> removed_at = 0; worker = CREATING
        :: else
        fi;
        if
        :: ending -> goto success
        :: else
        fi;
        d_step { forget_history() }
#ifdef OMIT_LAST_BARRIERS
        if
        :: worker == FINISHED && !waiting -> goto success
        :: else
        fi;
#endif
        covers = 0; cover_version = 0; cover_blocks = 0; flush_file = false; flush_dir = false; failed = false }

    /* -- the end: what is left is covered, then one barrier more -- */
    :: atomic { worker == FINISHED && committer == IDLE && !ending && !NEEDS_BARRIER ->
        ending = true; append(RUN); unsealed = true }

    /* -- and at any moment -- */
    :: crashes > 0 -> goto crashed
    od;

success:
    printf("success\n");
    /* (3) Success is reported: whatever happens now, the file is there, and the manifest says so. */
    skip;
    d_step {
        allowed = BIT(source);
        check_names();
        for (n : 0 .. covers - 1) {
            assert(n >= covers || state[FRAME(n)] == DURABLE)
        }
        n = 0;
        before_version = source; before_blocks = BLOCKS;
        covered_version = source; covered_blocks = BLOCKS
    }
    if
    :: again > 0 -> again--
    :: true -> goto over
    fi;
    goto ended;

failure:
    /* A flush failed: no barrier is made any more, and the run ends. */
    records_lost = true;
    goto ended;

crashed:
    atomic {
        crashes--;
        if
        :: printf("POWER CUT\n"); cut_power(); records_lost = true; d_step { check_names_at_any_moment() }
        :: printf("KILL\n")
        fi
    }
ended:
    skip;
    d_step { drop_lost(); forget_process(); forget_inodes() }
    goto start;

over:
    skip
}
