// pgxpool and database/sql (with pgx as its driver): `client pgx` or `client sql`.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
)

const threads = 4

func main() {
	lifetime := time.Duration(0)
	if text := os.Getenv("LIFETIME_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		lifetime = time.Duration(seconds) * time.Second
	}
	var transact func(context.Context) error
	switch os.Args[1] {
	case "pgx":
		transact = withPgx(lifetime)
	case "sql":
		transact = withSQL(lifetime)
	default:
		panic("pgx or sql")
	}
	run(transact)
}

func withPgx(lifetime time.Duration) func(context.Context) error {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		panic(err)
	}
	config.MaxConns = threads
	config.MaxConnLifetime = 24 * time.Hour
	if lifetime > 0 {
		config.MaxConnLifetime = lifetime
		config.HealthCheckPeriod = 500 * time.Millisecond
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		panic(err)
	}
	return func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT pg_sleep(0.005)")
			return err
		})
	}
}

func withSQL(lifetime time.Duration) func(context.Context) error {
	db, err := sql.Open("pgx", "")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(threads)
	db.SetMaxIdleConns(threads)
	db.SetConnMaxLifetime(lifetime)
	return func(ctx context.Context) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "SELECT pg_sleep(0.005)"); err != nil {
			return err
		}
		return tx.Commit()
	}
}

type tally struct {
	Done   int            `json:"done"`
	Failed int            `json:"failed"`
	Errors map[string]int `json:"errors"`
}

func run(transact func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	counted := tally{Errors: map[string]int{}}
	var lock sync.Mutex
	var started, ended sync.WaitGroup
	started.Add(threads)
	for range threads {
		ended.Go(func() {
			first := true
			for ctx.Err() == nil {
				// Ended by standard input's end, never in the middle of a transaction.
				err := transact(context.Background())
				lock.Lock()
				if err == nil {
					counted.Done++
				} else {
					counted.Failed++
					counted.Errors[fmt.Sprintf("%.80s", err.Error())]++
				}
				lock.Unlock()
				if err != nil {
					time.Sleep(100 * time.Millisecond)
				} else if first {
					first = false
					started.Done()
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	started.Wait()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	ended.Wait()
	text, err := json.Marshal(counted)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}
