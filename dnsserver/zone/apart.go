package zone

// Apart returns, of two versions of the set at one name, the records that the other one lacks, as sets with the same TTL; nil
// stands for no records. Large sets of which little changed cost a walk over both, and nothing for each record: of ten
// thousand members that share a name, one is what changes at a time.
func Apart(old, now *RRset) (gone, added *RRset) {
	switch {
	case old == now:
		return nil, nil
	case old == nil || now == nil || old.Type != now.Type || old.TTL != now.TTL:
		return old, now
	}
	var g, a []int
	switch old.Type {
	case TypeA, TypeAAAA:
		g, a = Places(old.Addrs, now.Addrs)
	case TypePTR:
		g, a = Places(old.Names, now.Names)
	case TypeSRV:
		g, a = Places(srvKeys(old.SRV), srvKeys(now.SRV))
	default:
		if old.Equal(now) {
			return nil, nil
		}
		return old, now
	}
	return old.only(g), now.only(a)
}

// only returns the set with these records alone.
func (s *RRset) only(which []int) *RRset {
	if len(which) == 0 {
		return nil
	}
	out := &RRset{Type: s.Type, TTL: s.TTL, Stale: s.Stale, Order: s.Order}
	for _, i := range which {
		switch s.Type {
		case TypeSRV:
			out.SRV = append(out.SRV, s.SRV[i])
		case TypePTR:
			out.Names = append(out.Names, s.Names[i])
		default:
			out.Addrs = append(out.Addrs, s.Addrs[i])
		}
	}
	return out
}

// srvKey is what an SRV record says, whoever is behind its target.
type srvKey struct {
	priority, weight, port uint16
	target                 string
}

func srvKeys(list []SRV) []srvKey {
	keys := make([]srvKey, len(list))
	for i, s := range list {
		keys[i] = srvKey{s.Priority, s.Weight, s.Port, s.Target.Name}
	}
	return keys
}

// fewApart is up to how many candidates are looked for one by one.
const fewApart = 16

// Places returns the places of those in old that now lacks, and of those in now that old lacks, whatever their order. It costs
// next to nothing where both agree place by place from the front or from the back, as versions of a set do: what takes the
// place of another comes where that was.
func Places[T comparable](old, now []T) (gone, added []int) {
	from, short := 0, min(len(old), len(now))
	for from < short && old[from] == now[from] {
		from++
	}
	oldEnd, nowEnd := len(old), len(now)
	for oldEnd > from && nowEnd > from && old[oldEnd-1] == now[nowEnd-1] {
		oldEnd, nowEnd = oldEnd-1, nowEnd-1
	}
	for i := from; i < oldEnd; i++ {
		if i >= nowEnd || old[i] != now[i] {
			gone = append(gone, i)
		}
	}
	for i := from; i < nowEnd; i++ {
		if i >= oldEnd || old[i] != now[i] {
			added = append(added, i)
		}
	}
	return lacking(gone, old, now), lacking(added, now, old)
}

// lacking keeps of the places in list those of what other does not have anywhere.
func lacking[T comparable](places []int, list, other []T) []int {
	if len(places) == 0 {
		return nil
	}
	has := func(v T) bool {
		for i := range other {
			if other[i] == v {
				return true
			}
		}
		return false
	}
	if len(places) > fewApart {
		all := make(map[T]struct{}, len(other))
		for _, v := range other {
			all[v] = struct{}{}
		}
		has = func(v T) bool { _, ok := all[v]; return ok }
	}
	kept := places[:0]
	for _, i := range places {
		if !has(list[i]) {
			kept = append(kept, i)
		}
	}
	return kept
}
