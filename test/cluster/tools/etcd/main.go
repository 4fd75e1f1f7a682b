// The etcd server: its own module has a main package, but one that a module with other dependencies can't install.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
