// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// EnvActiveMQ holds the STOMP address of an ActiveMQ that runs already.
	EnvActiveMQ = "TEST_ACTIVEMQ"
	// activeHome is where Debian's package has the program.
	activeHome = "/usr/share/activemq"
	activeJar  = activeHome + "/bin/activemq.jar"
	// activeWait is how long Java and ActiveMQ may take to come up, and to go, on a busy machine.
	activeWait = 120 * time.Second
)

// activeConfig is a broker with a STOMP port; it takes the data directory, twice, and the address.
const activeConfig = `<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
    http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
    http://activemq.apache.org/schema/core
    http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" brokerName="oracle"
      dataDirectory="%[1]s">
    <persistenceAdapter><kahaDB directory="%[1]s/kahadb"/></persistenceAdapter>
    <transportConnectors><transportConnector name="stomp" uri="stomp://%[2]s"/></transportConnectors>
  </broker>
</beans>
`

// HaveActiveMQ says whether Debian's ActiveMQ is installed.
func HaveActiveMQ() bool {
	_, err := os.Stat(activeJar)
	return err == nil || os.Getenv(EnvActiveMQ) != ""
}

// StartActiveMQ runs Debian's ActiveMQ from a temporary directory, with a STOMP port and no other.
func StartActiveMQ(tb testing.TB) *Broker {
	tb.Helper()
	b := &Broker{Name: "ActiveMQ", STOMP: os.Getenv(EnvActiveMQ)}
	if b.STOMP != "" {
		return b
	}
	b.STOMP = FreeAddr(tb)
	dir := tb.TempDir()
	file := filepath.Join(dir, "activemq.xml")
	text := fmt.Sprintf(activeConfig, filepath.Join(dir, "data"), b.STOMP)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("java", "-Xms64M", "-Xmx256M", "-Dactivemq.home="+activeHome,
		"-Dactivemq.base="+dir, "-Dactivemq.conf="+dir, "-Dactivemq.data="+filepath.Join(dir, "data"),
		"-Djava.io.tmpdir="+dir, "-jar", activeJar, "start", "xbean:file:"+file)
	cmd.Dir = dir
	p := Run(tb, "activemq", cmd)
	p.stopWait = activeWait
	if err := Accepts(p, b.STOMP, activeWait); err != nil {
		tb.Fatalf("ActiveMQ: %v", err)
	}
	return b
}
