package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const moments = 6

var cronZones = []string{
	"", "", "UTC", "America/Los_Angeles", "America/Los_Angeles", "Europe/Berlin", "America/Sao_Paulo", "America/Havana",
	"Asia/Beirut", "Africa/Cairo", "Asia/Tehran", "Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca",
	"Pacific/Apia", "Asia/Kathmandu", "Atlantic/Azores", "America/St_Johns", "Pacific/Chatham", "Europe/Dublin",
}

// Argo's table of clock changes, edges of the syntax, and what must be refused.
const cronSchedules = `
* * * * *
0 0 29 2 *
0 0 30 2 *
0 0 31 4,6,9,11 *
0 0 13 * 5
0 0 13 * ?
0 0 */2 * 1
0 0 ? * mon-fri
*/7 */5 1-15/3 jan,MAR,Dec *
5/20 3/7 * * *
0 2 * * SUN
59 23 31 12 *
1,2,,3 0 * * *
, * * * *
* , * * *
* * , * *
* * * , *
* * * * ,
* * , * ,
* * , * 3
+5 * * * *
*-5 * * * *
?/3 * * * *
*/1 * */1 * 1
* * * * 0-6/6
@yearly
@annually
@monthly
@weekly
@daily
@midnight
@hourly
@every 1h30m
@every 90s
@every 0.5s
@every 1500ms
@every -5m
@every 0
@every 1h0.7s
@every
@every x
@every 5
@every 5 m
@every  5m
@Daily
@reboot
@

* * * *
* * * * * *
60 * * * *
* 24 * * *
* * 0 * *
* * 32 * *
* * * 0 *
* * * 13 *
* * * * 7
* * * foo *
* * * * monday
5-1 * * * *
1-2-3 * * * *
1/2/3 * * * *
*/0 * * * *
*/x * * * *
-5 * * * *
5- * * * *
1.5 * * * *
99999999999999999999 * * * *
CRON_TZ=Nowhere/Land * * * * *
TZ=../etc/passwd * * * * *
TZ=Asia/Tokyo 0 9 * * *
CRON_TZ=America/Los_Angeles @daily
CRON_TZ=UTC CRON_TZ=UTC * * * * *
CRON_TZ=Local 0 1 * * *
CRON_TZ= 0 1 * * *
`

// cronVectors: a moment and a schedule, and the moments that follow on one another; all in seconds since the epoch.
func cronVectors(random *rand.Rand) []vector {
	var found []vector
	add := func(from int64, spec string) {
		found = append(found, followed(from, spec))
	}
	for _, spec := range strings.Split(strings.TrimSpace(cronSchedules), "\n") {
		add(time.Date(2020, 2, 27, 22, 59, 30, 0, time.UTC).Unix(), spec)
	}
	angeles, _ := time.LoadLocation("America/Los_Angeles")
	for _, day := range []time.Time{time.Date(2020, 3, 8, 0, 0, 0, 0, angeles), time.Date(2020, 11, 1, 0, 0, 0, 0, angeles)} {
		for _, spec := range []string{"59 1 * * *", "0 2 * * *", "1 2 * * *", "30 2 * * *", "30 1 * * *", "0 3 * * *"} {
			add(day.Unix(), "CRON_TZ=America/Los_Angeles "+spec)
		}
	}
	for range 2500 {
		zone := cronZones[random.Intn(len(cronZones))]
		spec := cronFields(random)
		if zone != "" {
			spec = "CRON_TZ=" + zone + " " + spec
		}
		add(cronMoment(random, zone), spec)
	}
	return found
}

func followed(from int64, spec string) vector {
	made := vector{In: fmt.Sprintf("%d %s", from, spec)}
	schedule, err := cron.ParseStandard(spec)
	if err != nil {
		made.Error = short(err)
		return made
	}
	next, found := time.Unix(from, 0).UTC(), []int64{}
	for range moments {
		next = schedule.Next(next)
		if next.IsZero() {
			break
		}
		found = append(found, next.Unix())
	}
	written, _ := json.Marshal(found)
	text := string(written)
	made.Out = &text
	return made
}

// cronMoment is often shortly before a change of the zone's clocks.
func cronMoment(random *rand.Rand, zone string) int64 {
	moment := time.Unix(1104537600+random.Int63n(20*365*86400), 0)
	location, err := time.LoadLocation(zone)
	if err == nil && random.Intn(4) > 0 {
		if _, change := moment.In(location).ZoneBounds(); !change.IsZero() && change.Year() < 2026 {
			moment = change.Add(-time.Duration(random.Int63n(50*3600)) * time.Second)
		}
	}
	return moment.Unix()
}

func cronFields(random *rand.Rand) string {
	grammar := &grammar{random}
	field := func(low, high int, often string) string {
		number := func() int { return low + random.Intn(high-low+1) }
		switch random.Intn(9) {
		case 0, 1, 2:
			return often
		case 3:
			return fmt.Sprintf("*/%d", 1+random.Intn(high))
		case 4:
			first := number()
			return fmt.Sprintf("%d-%d", first, first+random.Intn(high-first+1))
		case 5:
			return fmt.Sprintf("%d/%d", number(), 1+random.Intn(20))
		case 6:
			return fmt.Sprintf("%d,%d", number(), number())
		default:
			return fmt.Sprint(number())
		}
	}
	hours := grammar.pick("0", "1", "2", "3", "23", "*", "0-3", "*/2", field(0, 23, "*"))
	days, week := field(1, 28, "*"), field(0, 6, "*")
	if random.Intn(2) == 0 {
		days, week = "*", "*"
	}
	return strings.Join([]string{field(0, 59, "30"), hours, days, field(1, 12, "*"), week}, " ")
}
