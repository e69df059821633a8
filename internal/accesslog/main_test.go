package accesslog

import (
	"testing"

	"graft/internal/nginxtest"
)

func TestMain(m *testing.M) { nginxtest.Main(m, nginxtest.FetchPackages) }
